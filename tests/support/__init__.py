"""Stand-ins that tests share: a clock driven by hand, a scripted network, a listing in memory."""
