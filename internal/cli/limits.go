package cli

// fetchConns is how many connections there are to one server of secrets. A callback with
// full_request is asked for each request, and they come out of what connsFor leaves to
// others.
const fetchConns = 128

// connsFor divides descriptors: never more connections than the proxy would allow
// by itself, and never none.
func connsFor(descriptors uint64) int {
	const (
		others = 256    // listener, files, runtime, upstream connections between two requests
		enough = 10_000 // what the proxy allows by itself
	)
	if descriptors <= others+2 {
		return 1
	}
	return int(min((descriptors-others)/2, enough))
}
