package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/deployment"
)

// Every endpoint with every kind of key that opens nothing: one and the same answer.
func TestKeysThatOpenNothing(t *testing.T) {
	t.Parallel()
	in := install(t)
	conn, ev := in.connect(t, in.key, "user-1").ID, in.example(t, in.key).ID
	replaced := in.devKey
	ended, err := in.deployments.IssueKey(t.Context(), deployment.KeyRequest{Environment: in.dev})
	if err != nil {
		t.Fatal(err)
	}
	if in.devKey, err = in.deployments.IssueKey(t.Context(), deployment.KeyRequest{Environment: in.dev, Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	in.now.Add(time.Minute.Milliseconds())
	other := install(t)
	keys := map[string]string{
		"no key": "", "wrong": other.key, "replaced": replaced, "out of grace": ended,
		"mistyped": in.key[:len(in.key)-1] + "!", "endless": strings.Repeat("x", 9000), "SQL": "' OR 1=1 --" + strings.Repeat("x", 32),
	}
	var first *response
	for _, r := range api.Routes() {
		for name, key := range keys {
			got := in.call(t, r.Method, fill(r.Path, conn, ev), key, bodyFor(r))
			if r.Open {
				if got.status != 200 {
					t.Errorf("%s %s needs a key: %d", r.Method, r.Path, got.status)
				}
				continue
			}
			if got.status != 401 || got.code() != "invalid_api_key" {
				t.Errorf("%s %s with %s key: %d %s", r.Method, r.Path, name, got.status, got.body)
			}
			if first == nil {
				first = &got
			}
			if !reflect.DeepEqual(got, *first) {
				t.Errorf("%s %s with %s key answers otherwise than others: %v", r.Method, r.Path, name, got)
			}
		}
	}
	// Two keys: which one counts must not depend on who reads them.
	if got := in.call(t, "GET", "/forwarding", in.key, "", "x-api-key", in.devKey); got.status != 401 {
		t.Errorf("with two keys: %d", got.status)
	}
	if got := in.call(t, "GET", "/forwarding", in.key, ""); got.status != 200 {
		t.Errorf("with the right key: %d %s", got.status, got.body)
	}
}

func TestAnotherEnvironmentsIDs(t *testing.T) {
	t.Parallel()
	in := install(t)
	conn, ev := in.connect(t, in.devKey, "user-1"), in.example(t, in.devKey)
	long := strings.Repeat("x", 4000)
	const noConn, noEvent = "conn_01KATE9W1B6S0Z3YV8K5QH2T4G", "evt_01KATE9W1B6S0Z3YV8K5QH2T4G"
	const noDelivery, noReplay = "dlv_01KATE9W1B6S0Z3YV8K5QH2T4G", "rpl_01KATE9W1B6S0Z3YV8K5QH2T4G"
	var job api.Replay
	in.call(t, "POST", "/replays", in.devKey, `{"status":"dead"}`).json(t, &job)
	dlv := ev.Deliveries[0].ID
	for _, r := range api.Routes() {
		if !strings.Contains(r.Path, "{id}") {
			continue
		}
		var told []string
		for _, ids := range [][4]string{{conn.ID, ev.ID, dlv, job.ID}, {noConn, noEvent, noDelivery, noReplay}, {"x", "x", "x", "x"}, {"..%2fx", "%00", "..%2fx", "%00"}, {ev.ID, conn.ID, ev.ID, dlv}, {long, long, long, long}} {
			got := in.call(t, r.Method, fillAll(r.Path, ids[0], ids[1], ids[2], ids[3]), in.key, bodyFor(r))
			if got.status != 404 || got.code() != "not_found" {
				t.Errorf("%s %s with %.40q: %d %s", r.Method, r.Path, ids, got.status, got.body)
			}
			if len(got.body) > 500 {
				t.Errorf("%s %s answers with %d bytes", r.Method, r.Path, len(got.body))
			}
			for _, id := range ids {
				got.body = strings.ReplaceAll(got.body, id, "ID")
			}
			told = append(told, got.body)
		}
		if told[0] != told[1] {
			t.Errorf("%s %s tells another environment's id from one that does not exist: %s, %s", r.Method, r.Path, told[0], told[1])
		}
	}
	var replays api.List[api.Replay]
	in.get(t, "/replays", &replays)
	if len(replays.Items) != 0 {
		t.Errorf("the list shows another environment's: %+v", replays)
	}
	in.call(t, "GET", "/replays/"+job.ID, in.devKey, "").json(t, &job)
	if job.State != "running" {
		t.Errorf("the other environment's replay was cancelled: %+v", job)
	}
	var c api.List[api.Connection]
	in.get(t, "/connections", &c)
	var e api.List[api.Event]
	in.get(t, "/events", &e)
	if len(c.Items) != 0 || len(e.Items) != 0 {
		t.Errorf("lists show another environment's: %v, %v", c, e)
	}
	for _, path := range []string{"/connections?cursor=" + conn.ID, "/connections?account=user-1", "/events?cursor=" + ev.ID, "/events?connection=" + conn.ID} {
		if got := in.call(t, "GET", path, in.key, ""); got.status != 200 || strings.Contains(got.body, "user-1") {
			t.Errorf("GET %s: %d %s", path, got.status, got.body)
		}
	}
	// And nothing happened to them.
	if got := in.call(t, "GET", "/connections/"+conn.ID, in.devKey, ""); got.status != 200 || !strings.Contains(got.body, `"status":"active"`) {
		t.Errorf("the other environment's connection: %d %s", got.status, got.body)
	}
	var untouched api.Event
	in.call(t, "GET", "/events/"+ev.ID, in.devKey, "").json(t, &untouched)
	if len(untouched.Deliveries) != 1 {
		t.Errorf("the other environment's event was replayed: %+v", untouched.Deliveries)
	}
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	in := install(t)
	conn, ev := in.connect(t, in.key, "user-1").ID, in.example(t, in.key).ID
	for _, r := range api.Routes() {
		if bodyFor(r) == "" {
			continue
		}
		path, good := fill(r.Path, conn, ev), bodyFor(r)
		for name, row := range map[string]struct {
			body, code, field string
			status            int
		}{
			"no JSON":          {"x", "invalid_body", "", 400},
			"cut short":        {`{"a"`, "invalid_body", "", 400},
			"list":             {"[]", "invalid_body", "", 400},
			"text":             {`"x"`, "invalid_body", "", 400},
			"null":             {"null", "invalid_body", "", 400},
			"two objects":      {good + good, "invalid_body", "", 400},
			"something behind": {good + "x", "invalid_body", "", 400},
			"unknown member":   {`{"zzz":1}`, "invalid_body", "zzz", 400},
			"member twice":     {`{"zzz":1,"zzz":1}`, "invalid_body", "zzz", 400},
			"endless member":   {`{"` + strings.Repeat("z", 5000) + `":1}`, "invalid_body", strings.Repeat("z", 60) + "…", 400},
			"too deep":         {strings.Repeat(`{"a":`, 20000), "invalid_body", "", 400},
			"too large":        {`{"zzz":"` + strings.Repeat("x", 1<<20) + `"}`, "body_too_large", "", 413},
			"too large spaces": {good + strings.Repeat(" ", 1<<20), "body_too_large", "", 413},
		} {
			got := in.call(t, r.Method, path, in.key, row.body)
			if got.status != row.status || got.code() != row.code || got.field() != row.field {
				t.Errorf("%s %s with %s: %d %.200s, want %d %s %s", r.Method, r.Path, name, got.status, got.body, row.status, row.code, row.field)
			}
			if len(got.body) > 500 {
				t.Errorf("%s %s with %s answers with %d bytes", r.Method, r.Path, name, len(got.body))
			}
		}
	}
	if f := in.call(t, "GET", "/forwarding", in.key, ""); !strings.Contains(f.body, `"from":"deployment"`) {
		t.Errorf("a refused body changed the settings: %s", f.body)
	}
}

func TestMembersOfTheWrongType(t *testing.T) {
	t.Parallel()
	in := install(t)
	one := "/connections/" + in.connect(t, in.key, "user-1").ID
	for _, row := range []struct{ method, path, body, code, field string }{
		{"POST", "/connections", `{}`, "missing_parameter", "connector"},
		{"POST", "/connections", `{"connector":"webhook"}`, "missing_parameter", "account"},
		{"POST", "/connections", `{"connector":7,"account":"a"}`, "invalid_body", "connector"},
		{"POST", "/connections", `{"connector":null,"account":"a"}`, "invalid_body", "connector"},
		{"POST", "/connections", `{"Connector":"webhook","account":"a"}`, "invalid_body", "Connector"},
		{"POST", "/connections", `{"connector":"webhook","account":"a","input":["x"]}`, "invalid_body", "input"},
		{"POST", "/connections", `{"connector":"webhook","account":"a","input":{"scheme":1}}`, "invalid_body", "input"},
		{"POST", "/connections", `{"connector":"webhook","account":"a\u0000b"}`, "invalid_parameter", "account"},
		{"POST", "/events/test", `{"trigger":"shop.order.placed","account":"a\u0000b"}`, "invalid_body", "account"},
		{"GET", "/connector/shop/auth-url?account=a&redirectUrl=https://app.example.com/" + strings.Repeat("x", 70_000), "", "invalid_parameter", "redirectUrl"},
		{"PUT", "/apps/shop", `{"client_id":"x","client_secret":"` + strings.Repeat("x", 70_000) + `","fields":{"signing_secret":"s"}}`, "invalid_parameter", "client_secret"},
		{"POST", "/connections", `{"connector":"webhook","account":"a\r\nX-Evil: 1"}`, "invalid_parameter", "account"},
		{"POST", "/connections", `{"connector":"webhook","account":"` + strings.Repeat("x", 513) + `"}`, "invalid_parameter", "account"},
		{"POST", "/connections", `{"connector":"webhook","account":"a"}`, "missing_parameter", "secret"},
		{"POST", "/connections", `{"connector":"shop","account":"a"}`, "invalid_parameter", "connector"},
		{"POST", "/connections", `{"connector":"nothing","account":"a"}`, "unknown_connector", "connector"},
		{"PATCH", one, `{}`, "missing_parameter", "params"},
		{"PATCH", one, `{"params":null}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":["webhook.received"]}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":{"webhook.received":null}}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":{"webhook.received":{"a":null}}}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":{"webhook.received":{"a":1}}}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":{"webhook.received":{"a":"1"}}}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":{"shop.order.placed":{}}}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":{"*":{}}}`, "invalid_body", "params"},
		{"PATCH", one, `{"params":{},"status":"active"}`, "invalid_body", "status"},
		{"PATCH", "/connections/conn_01KATE9W1B6S0Z3YV8K5QH2T4G", `{"params":{}}`, "not_found", ""},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*","bareshop.order.lost"]}`, "invalid_body", "triggers[1]"},
		{"PUT", "/forwarding", `{}`, "invalid_body", ""},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.order.plced"]}`, "invalid_body", "triggers[0]"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":[{"trigger":"shop.order.placed","params":{"zzz":"1"}}]}`, "invalid_body", "triggers[0]"},
		{"PUT", "/forwarding", `{"url":"http://127.0.0.1:9000/","triggers":["shop.*"]}`, "invalid_body", "url"},
		{"PUT", "/forwarding", `{"url":"http://169.254.169.254/latest","triggers":["shop.*"]}`, "invalid_body", "url"},
		{"PUT", "/forwarding", `{"url":"javascript:alert(1)","triggers":["shop.*"]}`, "invalid_body", "url"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"header_key":"Webhook-Id","header_value":"x"}`, "invalid_body", "header_key"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"header_key":"X-A: b\r\nX-Evil","header_value":"x"}`, "invalid_body", "header_key"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"header_key":"X-A","header_value":"x\r\nX-Evil: 1"}`, "invalid_body", "header_value"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"header_value":null}`, "invalid_body", "header_value"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"secrets":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}`, "invalid_body", "secrets"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"timeout":"1y"}`, "invalid_body", "timeout"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"rate_limit":-1}`, "invalid_body", "rate_limit"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":["shop.*"],"pause_after":"soon"}`, "invalid_body", "pause_after"},
		{"PUT", "/forwarding", `{"url":"https://a.example/","triggers":"shop.*"}`, "invalid_body", "triggers"},
		{"POST", "/events/test", `{}`, "missing_parameter", "trigger"},
		{"POST", "/events/test", `{"trigger":"shop.nothing"}`, "unknown_trigger", "trigger"},
		{"POST", "/events/test", `{"trigger":"nothing"}`, "unknown_trigger", "trigger"},
		{"POST", "/events/test", `{"trigger":"shop.order.placed","account":"` + strings.Repeat("x", 513) + `"}`, "invalid_body", "account"},
		{"PUT", "/apps/nothing", `{"client_id":"x"}`, "unknown_connector", "connector"},
		{"PUT", "/apps/shop", `{}`, "missing_parameter", "client_id"},
		{"PUT", "/apps/shop", `{"client_secret":"x"}`, "missing_parameter", "client_id"},
		{"PUT", "/apps/shop", `{"client_id":"x"}`, "missing_parameter", "signing_secret"},
		{"PUT", "/apps/shop", `{"client_id":"x","fields":{"signing_secret":"s","zzz":"1"}}`, "invalid_parameter", "zzz"},
		{"PUT", "/apps/shop", `{"client_id":"x","scopes":"orders"}`, "invalid_body", "scopes"},
		{"POST", "/api-key", `{"grace":"soon"}`, "invalid_body", "grace"},
		{"POST", "/api-key", `{"grace":"-1s"}`, "invalid_body", "grace"},
		{"POST", "/api-key", `{"grace":"721h"}`, "invalid_body", "grace"},
		{"POST", "/api-key", `{"grace":3600}`, "invalid_body", "grace"},
	} {
		got := in.call(t, row.method, row.path, in.key, row.body)
		if got.status < 400 || got.status > 404 || got.code() != row.code || got.field() != row.field {
			t.Errorf("%s %s %.120s: %d %s, want %s %s", row.method, row.path, row.body, got.status, got.body, row.code, row.field)
		}
	}
	if got := in.call(t, "GET", "/forwarding", in.key, ""); got.status != 200 {
		t.Errorf("a refused grace replaced the key: %d", got.status)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	in := install(t)
	for _, row := range []struct{ path, code, field string }{
		{"/connectors?limit=0", "invalid_parameter", "limit"},
		{"/connectors?limit=201", "invalid_parameter", "limit"},
		{"/connectors?limit=x", "invalid_parameter", "limit"},
		{"/connectors?limit=1&limit=2", "invalid_parameter", "limit"},
		{"/connectors?cursor=x", "invalid_parameter", "cursor"},
		{"/connections?acount=user-42", "invalid_parameter", "acount"},
		{"/connections?status=gone", "invalid_parameter", "status"},
		{"/connections?cursor=evt_01KATE9W1B6S0Z3YV8K5QH2T4G", "invalid_parameter", "cursor"},
		{"/events?since=yesterday", "invalid_parameter", "since"},
		{"/events?until=1", "invalid_parameter", "until"},
		{"/events?status=lost", "invalid_parameter", "status"},
		{"/events?cursor='", "invalid_parameter", "cursor"},
		{"/events?a=%zz", "invalid_parameter", ""},
		{"/events?a;b", "invalid_parameter", ""},
		{"/connector/shop/auth-url", "missing_parameter", "account"},
		{"/connector/shop/auth-url?account=", "missing_parameter", "account"},
		{"/connector/shop/auth-url?account=a&account=b", "invalid_parameter", "account"},
		{"/connector/shop/auth-url?account=a%0d%0aX-Evil:1", "invalid_parameter", "account"},
		{"/connector/shop/auth-url?account=a&redirect_url=https://app.example.com/", "invalid_parameter", "redirect_url"},
		{"/connector/shop/auth-url?account=a&skipInput=yes", "invalid_parameter", "skipInput"},
		{"/connector/shop/auth-url?account=a&format=xml", "invalid_parameter", "format"},
		{"/connector/shop/auth-url?account=a&redirectUrl=https://evil.example/", "redirect_not_allowed", "redirectUrl"},
		{"/connector/shop/auth-url?account=a&redirectUrl=//app.example.com/", "redirect_not_allowed", "redirectUrl"},
		{"/connector/shop/auth-url?account=a&redirectUrl=https://app.example.com@evil.example/", "redirect_not_allowed", "redirectUrl"},
		{"/connector/shop/auth-url?account=a&input.zzz=1", "invalid_parameter", "zzz"},
		{"/connector/nothing/auth-url", "unknown_connector", "connector"},
		{"/connector/interactor/nothing/auth-url?account=a", "unknown_connector", "connector"},
		{"/connector/interactor/auth-url?account=a", "unknown_connector", "connector"},
		{"/connector/SHOP/auth-url?account=a", "unknown_connector", "connector"},
		{"/connector/bareshop/auth-url?account=a", "no_app", ""},
		{"/connectors/nothing", "unknown_connector", "connector"},
	} {
		got := in.call(t, "GET", row.path, in.key, "")
		if got.status < 400 || got.status > 409 || got.code() != row.code || got.field() != row.field {
			t.Errorf("GET %s: %d %s, want %s %s", row.path, got.status, got.body, row.code, row.field)
		}
		if got.header.Get("X-Evil") != "" {
			t.Errorf("GET %s: a header was injected", row.path)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	in := install(t)
	conn, ev := in.connect(t, in.key, "user-1").ID, in.example(t, in.key).ID
	methods := make(map[string][]string)
	for _, r := range api.Routes() {
		methods[r.Path] = append(methods[r.Path], r.Method)
		if r.Method == http.MethodGet {
			methods[r.Path] = append(methods[r.Path], "HEAD")
		}
	}
	for path, allowed := range methods {
		slices.Sort(allowed)
		for _, method := range []string{"PATCH", "OPTIONS", "TRACE", "get", "DELETE"} {
			if slices.Contains(allowed, method) {
				continue
			}
			got := in.call(t, method, fill(path, conn, ev), in.key, "")
			if got.status != 405 || got.code() != "method_not_allowed" || got.header.Get("Allow") != strings.Join(allowed, ", ") {
				t.Errorf("%s %s: %d %s, Allow %q, want %v", method, path, got.status, got.body, got.header.Get("Allow"), allowed)
			}
		}
	}
	for _, path := range []string{"", "/", "/nothing", "/connectors/", "/connectors//", "//connectors", "/connections/x/y", "/events/../connectors", "/connector/a/b/c/auth-url", "/connector//auth-url"} {
		r, err := http.NewRequest(http.MethodGet, "https://x"+base, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.URL.RawPath = base+path, base+path
		w := serve(in, r)
		if w.status != 404 || w.code() != "not_found" {
			t.Errorf("GET %s: %d %s", path, w.status, w.body)
		}
	}
	r, err := http.NewRequest(http.MethodGet, "https://x/api/v1/connectors", nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := serve(in, r); w.status != 404 || !strings.Contains(w.body, "mounted at the wrong path: expected "+base) {
		t.Errorf("at the wrong path: %d %s", w.status, w.body)
	}
	if got := in.call(t, "HEAD", "/connectors", in.key, ""); got.status != 200 {
		t.Errorf("HEAD: %d", got.status)
	}
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	in := install(t)
	conn, ev := in.connect(t, in.key, "user-1").ID, in.example(t, in.key).ID
	if got := in.call(t, "GET", "/healthz", "", ""); got.status != 200 {
		t.Errorf("healthz: %d %s", got.status, got.body)
	}
	if err := in.store.Close(); err != nil {
		t.Fatal(err)
	}
	in.now.Add(2000)
	for _, r := range api.Routes() {
		got := in.call(t, r.Method, fill(r.Path, conn, ev), in.key, bodyFor(r))
		want, code := 503, "store_unavailable"
		if r.Path == "/openapi.json" {
			want, code = 200, ""
		}
		if r.Path == "/healthz" {
			code = ""
			if got.body != `{"status":"store unavailable","running":false}`+"\n" {
				t.Errorf("healthz: %s", got.body)
			}
		}
		if got.status != want || got.code() != code || want == 503 && got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s with the store away: %d %s", r.Method, r.Path, got.status, got.body)
		}
		if strings.Contains(got.body, "sqlite") {
			t.Errorf("%s %s tells the inside: %s", r.Method, r.Path, got.body)
		}
	}
}

func TestInternalErrors(t *testing.T) {
	t.Parallel()
	in := install(t)
	for name, forwarder := range map[string]api.Forwarder{
		"error": broken{Forwarder: in.forwarder, err: errors.New("secret-detail")},
		"panic": broken{Forwarder: in.forwarder},
	} {
		handler := in.with(t, func(c *api.Config) { c.Forwarder = forwarder })
		got := handler.call(t, "GET", "/forwarding", in.key, "")
		var e api.Error
		got.json(t, &e)
		report, ok := strings.CutPrefix(e.Message, "internal error, reported as ")
		if got.status != 500 || e.Code != "internal" || !ok || !strings.HasPrefix(report, "req_") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if strings.Contains(got.body, "secret-detail") {
			t.Errorf("%s: details in the answer: %s", name, got.body)
		}
		if log := in.log.String(); !strings.Contains(log, report) || !strings.Contains(log, "secret-detail") || !strings.Contains(log, `"endpoint":"/forwarding"`) {
			t.Errorf("%s: the log does not tell about %s: %s", name, report, log)
		}
		if log := in.log.String(); strings.Contains(log, in.key) {
			t.Errorf("%s: the log holds the key", name)
		}
	}
}

func FuzzBodies(f *testing.F) {
	in := install(f)
	for _, r := range api.Routes() {
		if b := bodyFor(r); b != "" {
			f.Add(b)
		}
	}
	f.Add(`{"url":"https://a.example/","triggers":[{"trigger":"*"},"x"],"retry":["1s",1],"raw":1}`)
	f.Add(`{"a":{"b":[1e999]},"a":null}`)
	f.Add("{\"\xff\":\"\xff\"}")
	f.Fuzz(func(t *testing.T, body string) {
		for _, r := range api.Routes() {
			if bodyFor(r) == "" || r.Path == "/api-key" {
				continue
			}
			got := in.call(t, r.Method, fill(r.Path, "x", "evt_01KATE9W1B6S0Z3YV8K5QH2T4G"), in.key, body)
			if got.status >= 500 {
				t.Errorf("%s %s %q: %d %s", r.Method, r.Path, body, got.status, got.body)
			}
		}
	})
}

func FuzzQueries(f *testing.F) {
	in := install(f)
	for _, seed := range []string{"account=a", "account=a&format=json&scope=x&scope=y", "limit=1&cursor=shop", "a;b", "%zz", "since=2026-11-23T15:04:05Z", "input.=x", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/connector/shop/auth-url", "/connectors", "/connections", "/events"} {
			r, err := http.NewRequest(http.MethodGet, "https://x"+base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL.RawQuery = query
			r.Header.Set("x-api-key", in.key)
			got := serve(in, r)
			conforms(t, "GET", path, got)
			if got.status >= 500 {
				t.Errorf("GET %s?%q: %d %s", path, query, got.status, got.body)
			}
			for name := range got.header {
				if !slices.Contains([]string{"Cache-Control", "Content-Type", "X-Content-Type-Options"}, name) {
					t.Errorf("GET %s?%q: header %s", path, query, name)
				}
			}
		}
	})
}

func FuzzPaths(f *testing.F) {
	in := install(f)
	for _, r := range api.Routes() {
		f.Add(r.Method, r.Path)
	}
	f.Add("GET", "/connectors/%2e%2e%2f")
	f.Fuzz(func(t *testing.T, method, path string) {
		r := &http.Request{Method: method, Header: http.Header{"X-Api-Key": {in.key}}, Body: http.NoBody}
		r = r.WithContext(t.Context())
		r.URL = mustURL(base + path)
		if r.URL == nil || strings.HasSuffix(path, "api-key") {
			return
		}
		if got := serve(in, r); got.status >= 500 {
			t.Errorf("%s %q: %d %s", method, path, got.status, got.body)
		}
	})
}

func TestNewReportsAll(t *testing.T) {
	t.Parallel()
	_, err := api.New(api.Config{PublicURL: "hooks.example.com"})
	for _, name := range []string{"Auth", "Deployments", "Forwarder", "Subscriptions", "Registry", "Store", "PublicURL"} {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("Config.%s", name)) {
			t.Errorf("New: %v, want %s in it", err, name)
		}
	}
}
