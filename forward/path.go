package forward

import "strings"

// parsePath splits the path of a request, as it came and below the prefix, into
// connector and endpoint. Names are plain, so anything escaped is no address.
func parsePath(prefix, path string) (connector, endpoint string, ok bool) {
	rest, ok := strings.CutPrefix(path, prefix+"/webhooks/")
	if !ok {
		return "", "", false
	}
	connector, endpoint, more := strings.Cut(rest, "/")
	if !plain(connector) || (more && !plain(endpoint)) {
		return "", "", false
	}
	return connector, endpoint, true
}

// plain reports whether s may name a connector or an endpoint.
func plain(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
