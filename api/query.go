package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/internal/id"
)

// query reads the parameters of a request. The first mistake stays.
type query struct {
	values url.Values
	known  []string
	err    error
}

func parseQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.err = fail(http.StatusBadRequest, CodeInvalidParameter, "", "the query string is malformed: encode its values")
	}
	return q
}

// one returns a parameter, "" when it is absent.
func (q *query) one(name string) string {
	q.known = append(q.known, name)
	values := q.values[name]
	switch {
	case len(values) == 0:
		return ""
	case len(values) > 1 && q.err == nil:
		q.err = invalid(name, "appears %d times: give it once", len(values))
	}
	return values[0]
}

func (q *query) many(name string) []string {
	q.known = append(q.known, name)
	return q.values[name]
}

// among returns a parameter that must be one of values, or absent.
func (q *query) among(name string, values ...string) string {
	v := q.one(name)
	if v != "" && !slices.Contains(values, v) && q.err == nil {
		q.err = invalid(name, "is %q: it must be one of %s", short(v), strings.Join(values, ", "))
	}
	return v
}

func (q *query) time(name string) time.Time {
	v := q.one(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil && q.err == nil {
		q.err = invalid(name, "is no time: write it like 2026-11-23T15:04:05Z")
	}
	return t
}

// prefixed returns the parameters whose names begin with prefix, without it;
// nil when there are none.
func (q *query) prefixed(prefix string) map[string]string {
	var found map[string]string
	for name := range q.values {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if found == nil {
			found = make(map[string]string)
		}
		found[rest] = q.one(name)
	}
	return found
}

const (
	defaultLimit = 50
	maxLimit     = 200
)

// page returns where a list begins and how long it is. A cursor is the last id
// of the page before.
func (q *query) page(prefix string) (cursor string, limit int) {
	cursor = q.one("cursor")
	if cursor != "" && !id.Valid(prefix, cursor) && q.err == nil {
		q.err = invalid("cursor", "is not one that an answer gave as next")
	}
	return cursor, q.limit()
}

func (q *query) limit() int {
	v := q.one("limit")
	if v == "" {
		return defaultLimit
	}
	limit, err := strconv.Atoi(v)
	if (err != nil || limit < 1 || limit > maxLimit) && q.err == nil {
		q.err = invalid("limit", "must be a number from 1 to %d", maxLimit)
	}
	return limit
}

// end returns the first mistake, a parameter that nobody asked for being one: a
// filter with a typo would otherwise select everything.
func (q *query) end() error {
	if q.err != nil {
		return q.err
	}
	names := make([]string, 0, len(q.values))
	for name := range q.values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(q.known, name) {
			if len(q.known) == 0 {
				return invalid(short(name), "is unknown: there are no parameters")
			}
			return invalid(short(name), "is unknown: there are %s", strings.Join(q.known, ", "))
		}
	}
	return nil
}
