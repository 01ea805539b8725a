// Search runs in a worker, and browsers start none from a file. There, a hidden frame takes its place: it runs the
// worker's script, and messages go both ways as they do with a worker.
(() => {
  if (location.protocol !== "file:") return

  class FrameWorker extends EventTarget {
    constructor(url) {
      super()
      this.onmessage = this.onerror = null
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.srcdoc = "<!doctype html>"
      this.ready = new Promise((resolve, reject) => {
        this.frame.onload = () => {
          const inside = this.frame.contentWindow
          // What the script posts goes to the page; the frame's own postMessage would send it to itself.
          inside.postMessage = data => this.deliver(data)
          const script = inside.document.createElement("script")
          script.src = new URL(url, document.baseURI).href
          script.onload = () => resolve(inside)
          script.onerror = reject
          inside.document.head.append(script)
        }
      })
      document.documentElement.append(this.frame)
    }

    deliver(data) {
      const event = new MessageEvent("message", { data })
      if (this.onmessage) this.onmessage(event)
      this.dispatchEvent(event)
    }

    postMessage(data) {
      this.ready.then(inside => inside.dispatchEvent(new inside.MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.remove()
    }
  }

  window.Worker = FrameWorker
})()
