// Not part of keybearer: toxiproxy, and what it needs, stays out of its graph.
module keybearer-soak

go 1.26.0

require golang.org/x/sys v0.49.0
