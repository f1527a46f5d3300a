package api

// Route is what the tests know of an endpoint.
type Route struct {
	Method, Path string
	Open, Once   bool
}

// Routes returns every endpoint.
func Routes() (list []Route) {
	for _, r := range routes() {
		list = append(list, Route{r.method, r.path, r.open, r.once})
	}
	return list
}
