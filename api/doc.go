// Package api is the JSON API that Interactor.Handler serves at /api/v1: the
// documented auth-url endpoint, and the management of one Environment by who
// holds its API key. Import it for the OpenAPI document ([OpenAPI]), or for the
// Go types of bodies when writing a client.
//
// Times are RFC 3339 in UTC, durations Go text ("15s"), names in bodies
// snake_case. Members and query parameters that are not known are refused by
// name, so that a typo is not taken for a wish. There is no CORS: an API key does
// not belong in a browser.
//
// Package interactor builds the handler with [New].
package api
