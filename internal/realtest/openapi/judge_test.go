package openapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/internal/realtest/openapi"
)

// recorder is a testing.TB that remembers what was reported.
type recorder struct {
	testing.TB

	reports []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.reports = append(r.reports, fmt.Sprintf(format, args...))
}

// canned answers every request in the same way.
type canned struct {
	status int
	kind   string
	body   string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: c.status, Header: http.Header{"Content-Type": {c.kind}}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r,
	}, nil
}

// The judge itself.
func TestJudge(t *testing.T) {
	t.Parallel()
	document := openapi.Load(t, "atlassian.com/jira.json")
	t.Run("findings", func(t *testing.T) {
		t.Parallel()
		findings(t, document)
	})
	t.Run("Require", func(t *testing.T) {
		t.Parallel()
		require(t, document)
	})
}

// findings are what it must find, in both directions.
func findings(t *testing.T, document *openapi.Document) {
	t.Helper()
	const json = "application/json"
	for _, tt := range []struct {
		name, method, path, body string
		answer                   canned
		probing                  bool
		want                     string // in the only report; empty: none
	}{
		{"all well", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{200, json, `{"expirationDate":1}`}, false, ""},
		{"a parameter of the type", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{200, json + ";charset=UTF-8", `{"expirationDate":1}`}, false, ""},
		{"another path passes unseen", "GET", "/elsewhere", "", canned{500, "text/html", "x"}, false, ""},
		{"an unknown operation", "GET", "/rest/api/3/nothing", "", canned{200, json, "{}"}, false, "no such operation"},
		{"a request without what is required", "PUT", "/rest/api/3/webhook/refresh", `{}`, canned{200, json, `{"expirationDate":1}`}, false, "webhookIds"},
		{"a request with a wrong type", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":["1"]}`, canned{200, json, `{"expirationDate":1}`}, false, "webhookIds"},
		{"a wrong request that is refused", "PUT", "/rest/api/3/webhook/refresh", `{}`, canned{400, json, `{"errorMessages":[]}`}, false, "webhookIds"},
		{"probing: a wrong request that is refused", "PUT", "/rest/api/3/webhook/refresh", `{}`, canned{400, json, `{"errorMessages":[]}`}, true, ""},
		{"probing: a wrong request that is taken", "PUT", "/rest/api/3/webhook/refresh", `{}`, canned{200, json, `{"expirationDate":1}`}, true, "webhookIds"},
		{"a body where none belongs", "GET", "/rest/api/3/myself", `{"a":1}`, canned{401, json, ``}, false, "not allowed"},
		{"an answer without what is required", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{200, json, `{}`}, false, "expirationDate"},
		{"an answer with more than is known", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{200, json, `{"expirationDate":1,"x":1}`}, false, "x"},
		{"an answer of another type", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{200, "text/plain", `1`}, false, "text/plain"},
		{"an error of another shape", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{403, json, `{"message":"x"}`}, false, "message"},
		{"a success that the document does not know", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{204, json, ``}, false, "status is not supported"},
		{"an error that the document does not know", "PUT", "/rest/api/3/webhook/refresh", `{"webhookIds":[1]}`, canned{429, json, `{}`}, false, ""},
		{"a time of another format", "GET", "/rest/api/3/serverInfo", "", canned{200, json, `{"serverTime":"2026-11-25T08:00:00.000+0000"}`}, false, "serverTime"},
		{"a relative address", "GET", "/rest/api/3/myself", "", canned{200, json, `{"self":"x"}`}, false, "self"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			judge := document.Judge(r, tt.answer, func(r *http.Request) (string, bool) {
				return r.URL.Path, strings.HasPrefix(r.URL.Path, "/rest/")
			})
			judge.Probing = tt.probing
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://127.0.0.1:1"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", json)
			resp, err := (&http.Client{Transport: judge}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != tt.answer.body {
				t.Errorf("the answer came as %q, %v", body, err)
			}
			switch {
			case tt.want == "" && len(r.reports) > 0:
				t.Errorf("reported %q", r.reports)
			case tt.want != "" && (len(r.reports) != 1 || !strings.Contains(r.reports[0], tt.want)):
				t.Errorf("reported %q, want one with %q", r.reports, tt.want)
			}
		})
	}
}

func require(t *testing.T, document *openapi.Document) {
	t.Helper()
	r := &recorder{TB: t}
	judge := document.Judge(r, canned{401, "application/json", "{}"}, func(r *http.Request) (string, bool) {
		return r.URL.Path, true
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1/rest/api/3/myself", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := judge.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if judge.Require("getCurrentUser 401"); len(r.reports) > 0 {
		t.Errorf("reported %q", r.reports)
	}
	if judge.Require("getCurrentUser 200"); len(r.reports) != 1 {
		t.Errorf("reported %q", r.reports)
	}
}
