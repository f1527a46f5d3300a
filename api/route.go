package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one endpoint. Segments in braces are parameters; where several routes
// match a path, the earlier one counts.
type route struct {
	method, path string
	open         bool // no key needed
	once         bool // takes an Idempotency-Key
	serve        func(*api, *call) (answer, error)
}

// routes is the API. The test of the OpenAPI document walks it.
func routes() []route {
	return []route{
		{method: "GET", path: "/connector/interactor/{connector}/auth-url", serve: (*api).authURL},
		{method: "GET", path: "/connector/{connector}/auth-url", serve: (*api).authURL},
		{method: "GET", path: "/connectors", serve: (*api).connectors},
		{method: "GET", path: "/connectors/{connector}", serve: (*api).connector},
		{method: "GET", path: "/connections", serve: (*api).connections},
		{method: "POST", path: "/connections", serve: (*api).connect},
		{method: "GET", path: "/connections/{id}", serve: (*api).connection},
		{method: "PATCH", path: "/connections/{id}", serve: (*api).changeConnection},
		{method: "DELETE", path: "/connections/{id}", serve: (*api).disconnect},
		{method: "GET", path: "/subscriptions", serve: (*api).subscriptions},
		{method: "DELETE", path: "/accounts/{account}", serve: (*api).eraseAccount},
		{method: "GET", path: "/forwarding", serve: (*api).forwarding},
		{method: "PUT", path: "/forwarding", serve: (*api).setForwarding},
		{method: "DELETE", path: "/forwarding", serve: (*api).removeForwarding},
		{method: "GET", path: "/events", serve: (*api).events},
		{method: "POST", path: "/events/test", once: true, serve: (*api).sendExample},
		{method: "GET", path: "/events/{id}", serve: (*api).event},
		{method: "POST", path: "/events/{id}/replay", once: true, serve: (*api).replayEvent},
		{method: "POST", path: "/deliveries/{id}/replay", once: true, serve: (*api).replayDelivery},
		{method: "GET", path: "/replays", serve: (*api).replays},
		{method: "POST", path: "/replays", once: true, serve: (*api).replayAll},
		{method: "GET", path: "/replays/{id}", serve: (*api).replay},
		{method: "DELETE", path: "/replays/{id}", serve: (*api).cancelReplay},
		{method: "PUT", path: "/apps/{connector}", serve: (*api).setApp},
		{method: "DELETE", path: "/apps/{connector}", serve: (*api).removeApp},
		{method: "POST", path: "/api-key", serve: (*api).rotateKey},
		{method: "GET", path: "/healthz", open: true, serve: (*api).health},
		{method: "GET", path: "/openapi.json", open: true, serve: (*api).openAPI},
	}
}

// match returns what a path names in a pattern.
func match(pattern, path []string) (map[string]string, bool) {
	if len(pattern) != len(path) {
		return nil, false
	}
	var params map[string]string
	for i, segment := range pattern {
		name, isParam := strings.CutPrefix(segment, "{")
		if !isParam {
			if path[i] != segment {
				return nil, false
			}
			continue
		}
		if path[i] == "" {
			return nil, false
		}
		if params == nil {
			params = make(map[string]string)
		}
		params[strings.TrimSuffix(name, "}")] = path[i]
	}
	return params, true
}

// find returns the route for a request below the base path, or an answer that
// says why there is none.
func (a *api) find(r *http.Request) (route, map[string]string, error) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), a.base+"/")
	if !ok {
		return route{}, nil, fail(http.StatusNotFound, CodeNotFound, "", "mounted at the wrong path: expected %s/…; do not use http.StripPrefix", a.base)
	}
	path := strings.Split(rest, "/")
	for i, segment := range path {
		var err error
		if path[i], err = url.PathUnescape(segment); err != nil {
			return route{}, nil, noEndpoint()
		}
	}
	// The first route whose path matches decides which path is meant; only the
	// methods of that one path are offered.
	var meant string
	var allow []string
	for i, candidate := range a.routes {
		if meant != "" && candidate.path != meant {
			continue
		}
		params, ok := match(a.patterns[i], path)
		if !ok {
			continue
		}
		if candidate.method == r.Method || candidate.method == http.MethodGet && r.Method == http.MethodHead {
			return candidate, params, nil
		}
		meant = candidate.path
		allow = append(allow, candidate.method)
		if candidate.method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	if meant == "" {
		return route{}, nil, noEndpoint()
	}
	slices.Sort(allow)
	f := fail(http.StatusMethodNotAllowed, CodeMethodNotAllowed, "", "the method is not allowed here: use %s", strings.Join(allow, ", "))
	f.header = http.Header{"Allow": {strings.Join(allow, ", ")}}
	return route{}, nil, f
}

func noEndpoint() *failure {
	return fail(http.StatusNotFound, CodeNotFound, "", "there is no such endpoint: GET /openapi.json lists them")
}
