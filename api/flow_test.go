package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

func TestAuthURL(t *testing.T) {
	t.Parallel()
	in := install(t)
	for _, path := range []string{"/connector/interactor/shop/auth-url", "/connector/shop/auth-url"} {
		got := in.call(t, "GET", path+"?account=user-42&redirectUrl=https%3A%2F%2Fapp.example.com%2Fdone&skipInput=true&scope=a&scope=b&loginHint=x", in.key, "")
		u, err := url.Parse(got.body)
		if got.status != 200 || err != nil || !strings.HasPrefix(got.body, public+"/connect/") || strings.ContainsAny(got.body, "\"\n\r ") || u.String() != got.body {
			t.Errorf("GET %s: %d %q, want the bare URL", path, got.status, got.body)
		}
		if got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s: headers %v", path, got.header)
		}
		again := in.call(t, "GET", path+"?account=user-42", in.key, "")
		if again.body == got.body {
			t.Error("an address that works once was given twice")
		}
		as := in.call(t, "GET", path+"?account=user-42&format=json", in.key, "")
		var body api.AuthURL
		as.json(t, &body)
		if want := in.config.Now().Add(30 * time.Minute); !body.ExpiresAt.Equal(want) || !strings.HasPrefix(body.URL, public+"/connect/") || as.header.Get("Cache-Control") != "no-store" {
			t.Errorf("format=json: %s, want until %s", as.body, want)
		}
	}
	// With an App of its own an environment's users go straight to the provider.
	if got := in.call(t, "PUT", "/apps/shop", in.key, `{"client_id":"mine","client_secret":"s","fields":{"signing_secret":"x"}}`); got.status != 200 {
		t.Fatalf("PUT /apps/shop: %d %s", got.status, got.body)
	}
	got := in.call(t, "GET", "/connector/interactor/shop/auth-url?account=user-42", in.key, "")
	if u, err := url.Parse(got.body); err != nil || !strings.HasPrefix(got.body, "https://shop.example/authorize?") || u.Query().Get("client_id") != "mine" {
		t.Errorf("with an own App: %s", got.body)
	}
	if got := in.call(t, "GET", "/connector/interactor/shop/auth-url?account=user-42", in.devKey, ""); !strings.HasPrefix(got.body, public+"/connect/") {
		t.Errorf("another environment uses it too: %s", got.body)
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	in := install(t)
	var all, first, second api.List[api.Connector]
	in.get(t, "/connectors", &all)
	var names []string
	for _, c := range all.Items {
		names = append(names, c.Name+" "+c.Auth)
		if c.Triggers != nil || c.OwnApp {
			t.Errorf("%+v", c)
		}
	}
	if !slices.Equal(names, []string{"bareshop oauth2", "shop oauth2", "webhook fields"}) || all.Next != "" {
		t.Errorf("GET /connectors: %v, next %q", names, all.Next)
	}
	in.get(t, "/connectors?limit=2", &first)
	in.get(t, "/connectors?limit=2&cursor="+first.Next, &second)
	if !reflect.DeepEqual(append(first.Items, second.Items...), all.Items) || first.Next != "shop" || second.Next != "" {
		t.Errorf("in pages: %+v, %+v", first, second)
	}
	var c api.Connector
	in.get(t, "/connectors/shop", &c)
	if len(c.Triggers) != 1 || c.Docs != "https://shop.example/docs" || len(c.AppFields) != 3 || !c.AppFields[0].Secret || !c.AppFields[0].Required || c.AppFields[1].Required {
		t.Fatalf("GET /connectors/shop: %+v", c)
	}
	tr := c.Triggers[0]
	if tr.Name != "shop.order.placed" || tr.Label != "An Order is Placed" || tr.Description != "Somebody bought something." || string(tr.Example) != `{"id":"1"}` ||
		!bytes.Contains(tr.Schema, []byte(`"properties"`)) || len(tr.Params) != 1 || !slices.Equal(tr.Scopes, []string{"orders"}) {
		t.Errorf("trigger: %+v %s", tr, tr.Schema)
	}
}

func TestUndeliverable(t *testing.T) {
	t.Parallel()
	in := install(t)
	var c api.Connector
	in.get(t, "/connectors/bareshop", &c)
	if len(c.Triggers) != 2 || c.Triggers[0].Undeliverable != "" || c.Triggers[1].Undeliverable != lostOrders {
		t.Errorf("GET /connectors/bareshop: %+v", c.Triggers)
	}
	for list, want := range map[string]int{`"bareshop.order.lost"`: 400, `"bareshop.*"`: 200, `"*"`: 200} {
		got := in.call(t, "PUT", "/forwarding", in.key, `{"url":"https://app.example.com/","triggers":[`+list+`]}`)
		if got.status != want {
			t.Errorf("%s: %d %s", list, got.status, got.body)
		}
	}
	got := in.call(t, "PUT", "/forwarding", in.key, `{"url":"https://app.example.com/","triggers":["bareshop.nothing","bareshop.order.lost"]}`)
	if !strings.Contains(got.body, lostOrders) || !strings.Contains(got.body, "bareshop.nothing") {
		t.Errorf("not all at once: %s", got.body)
	}
}

func TestHealthOfAConnection(t *testing.T) {
	t.Parallel()
	in := install(t)
	one, other := in.connect(t, in.key, "user-1"), in.connect(t, in.key, "user-2")
	at := in.config.Now()
	for i, s := range []subscription.Subscription{
		{Connection: one.ID, State: subscription.Active, RenewAt: at.Add(3 * time.Hour)},
		{Connection: one.ID, State: subscription.Active, RenewAt: at.Add(2 * time.Hour), LastError: "no answer"},
		{Connection: one.ID, State: subscription.Refused, LastError: "no such shop"},
		{Connection: one.ID, State: subscription.Removed},
		{Connection: other.ID, State: subscription.Active},
	} {
		s.ID, s.Environment, s.Connector, s.Watch, s.CreatedAt = id.New("sub", at), in.prod, "webhook", "address", at
		s.Resource, s.Endpoint = fmt.Sprint(i), s.ID
		if err := in.store.SaveComparison(t.Context(), subscription.Dirty{}, []subscription.Subscription{s}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var c api.Connection
	in.get(t, "/connections/"+one.ID, &c)
	if w := c.Watches; w.Total != 3 || w.Unhealthy != 2 || w.NextRenewalAt == nil || !w.NextRenewalAt.Equal(at.Add(2*time.Hour)) {
		t.Errorf("watches of the first: %+v", w)
	}
	if c.LastRefreshAt == nil || !c.LastRefreshAt.Equal(at) {
		t.Errorf("refreshed at %v", c.LastRefreshAt)
	}
	in.get(t, "/connections/"+other.ID, &c)
	if w := c.Watches; w.Total != 1 || w.Unhealthy != 0 {
		t.Errorf("watches of the second: %+v", w)
	}
}

func TestParamsOfAConnection(t *testing.T) {
	t.Parallel()
	in := install(t)
	one := in.connect(t, in.key, "user-1")
	path := "/connections/" + one.ID
	if one.Params == nil || len(one.Params) != 0 {
		t.Errorf("at first: %v", one.Params)
	}
	var c api.Connection
	got := in.call(t, "PATCH", path, in.key, `{"params":{"webhook.received":{}}}`)
	got.json(t, &c)
	want := trigger.Overrides{"webhook.received": {}}
	if got.status != 200 || !c.Params.Equal(want) {
		t.Errorf("PATCH: %d %s", got.status, got.body)
	}
	in.get(t, path, &c)
	if !c.Params.Equal(want) {
		t.Errorf("GET: %v", c.Params)
	}
	got = in.call(t, "PATCH", path, in.key, `{"params":{"webhook.received":{"color":"red"},"webhook.lost":{}}}`)
	if got.status != 400 || !strings.Contains(got.body, "color") || !strings.Contains(got.body, "webhook.lost") {
		t.Errorf("not all at once: %d %s", got.status, got.body)
	}
	if got := in.call(t, "PATCH", path, in.devKey, `{"params":{}}`); got.status != 404 {
		t.Errorf("with the key of another environment: %d %s", got.status, got.body)
	}
	if in.get(t, path, &c); !c.Params.Equal(want) {
		t.Errorf("after refused ones: %v", c.Params)
	}
	c = api.Connection{}
	in.call(t, "PATCH", path, in.key, `{"params":{}}`).json(t, &c)
	if c.Params == nil || len(c.Params) != 0 {
		t.Errorf("none again: %v", c.Params)
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	in := install(t)
	var ids []string
	for i := range 5 {
		in.now.Add(1)
		ids = append(ids, in.connect(t, in.key, fmt.Sprint("user-", i)).ID)
	}
	again := in.call(t, "POST", "/connections", in.key, bodyFor(api.Route{Method: "POST", Path: "/connections"}))
	var made api.Connection
	again.json(t, &made)
	if again.status != 201 || again.header.Get("Location") != base+"/connections/"+made.ID || made.Account != "user-42" || made.Status != "active" {
		t.Errorf("POST /connections: %d %s, Location %q", again.status, again.body, again.header.Get("Location"))
	}
	if strings.Contains(again.body, "0123456789abcdef") {
		t.Errorf("a secret came back: %s", again.body)
	}
	ids = append(ids, made.ID)

	var got []string
	for path := "/connections?limit=4"; ; {
		var page api.List[api.Connection]
		in.get(t, path, &page)
		for _, c := range page.Items {
			got = append(got, c.ID)
		}
		if page.Next == "" {
			break
		}
		path = "/connections?limit=4&cursor=" + page.Next
	}
	if !slices.Equal(got, ids) {
		t.Errorf("GET /connections in pages: %v, want %v", got, ids)
	}
	var exact api.List[api.Connection]
	in.get(t, "/connections?limit=6", &exact)
	if exact.Next != "" || len(exact.Items) != 6 {
		t.Errorf("a page that is just full: %d items, next %q", len(exact.Items), exact.Next)
	}
	for query, want := range map[string]int{"account=user-3": 1, "account=nobody": 0, "connector=webhook": 6, "connector=shop": 0, "status=active": 6, "status=revoked": 0} {
		var l api.List[api.Connection]
		in.get(t, "/connections?"+query, &l)
		if len(l.Items) != want {
			t.Errorf("GET /connections?%s: %d, want %d", query, len(l.Items), want)
		}
	}
	for range 2 { // a second DELETE is 204, too
		if got := in.call(t, "DELETE", "/connections/"+made.ID, in.key, ""); got.status != 204 {
			t.Errorf("DELETE: %d %s", got.status, got.body)
		}
	}
	var c api.Connection
	in.get(t, "/connections/"+made.ID, &c)
	if c.Status != "revoked" {
		t.Errorf("after DELETE: %+v", c)
	}
}

func TestForwarding(t *testing.T) {
	t.Parallel()
	in := install(t)
	type view struct {
		URL       string   `json:"url"`
		HeaderKey string   `json:"header_key"`
		Triggers  []any    `json:"triggers"`
		Retry     []string `json:"retry"`
		Timeout   string   `json:"timeout"`
		From      string   `json:"from"`
		Set       bool     `json:"header_value_set"`
		Managed   bool     `json:"managed"`
		Paused    bool     `json:"paused"`

		RateLimit   float64 `json:"rate_limit"`
		Concurrency int     `json:"concurrency"`
		Ordered     bool    `json:"ordered"`
		PauseAfter  string  `json:"pause_after"`
	}
	var v view
	in.get(t, "/forwarding", &v)
	if v.URL != "https://app.example.com/events" || v.HeaderKey != "X-Acme-Token" || !v.Set || v.From != "deployment" || v.Managed || v.Paused {
		t.Errorf("GET /forwarding: %+v", v)
	}
	put := func(body string) view {
		t.Helper()
		got := in.call(t, "PUT", "/forwarding", in.key, body)
		if got.status != 200 {
			t.Fatalf("PUT /forwarding %s: %d %s", body, got.status, got.body)
		}
		var v view
		got.json(t, &v)
		return v
	}
	own := func() forward.Settings {
		t.Helper()
		f, err := in.deployments.Forwarding(t.Context(), in.prod)
		if err != nil {
			t.Fatal(err)
		}
		return f.Settings
	}
	// The first own settings take nothing over from the Deployment: a key could
	// otherwise send its header value and its signatures to an address of its choice.
	v = put(`{"url":"https://other.example.com/","header_key":"X-Acme-Token","triggers":["shop.*"],"retry":["5s","30m"],"timeout":"10s","rate_limit":0.5,"concurrency":3,"ordered":true,"pause_after":"48h"}`)
	if v.From != "environment" || v.Set || v.URL != "https://other.example.com/" || v.Timeout != "10s" || !slices.Equal(v.Retry, []string{"5s", "30m"}) {
		t.Errorf("PUT /forwarding: %+v", v)
	}
	if v.RateLimit != 0.5 || v.Concurrency != 3 || !v.Ordered || v.PauseAfter != "48h" {
		t.Errorf("PUT /forwarding: %+v", v)
	}
	all, err := in.deployments.Forwarding(t.Context(), in.deployment.ID)
	if err != nil {
		t.Fatal(err)
	}
	if s := own(); s.HeaderValue != "" || len(s.Secrets) != 1 || slices.Contains(all.Settings.Secrets, s.Secrets[0]) {
		t.Error("the Deployment's secrets went into settings that a key made")
	}
	secrets := own().Secrets
	for _, step := range []struct {
		body, want string
		set        bool
	}{
		{`{"url":"https://b.example.com/","header_key":"X-A","header_value":"one","triggers":["shop.*"]}`, "one", true},
		{`{"url":"https://b.example.com/","header_key":"X-B","triggers":["shop.*"]}`, "one", true}, // absent keeps it
		{`{"url":"https://b.example.com/","header_key":"X-B","header_value":"","triggers":["shop.*"]}`, "", false},
		{`{"url":"https://b.example.com/","header_key":"X-B","header_value":"two","triggers":["shop.*"]}`, "two", true},
		{`{"url":"https://b.example.com/","triggers":["shop.*"]}`, "", false}, // no header at all
	} {
		v := put(step.body)
		if s := own(); s.HeaderValue != step.want || v.Set != step.set || !slices.Equal(s.Secrets, secrets) {
			t.Errorf("after %s: value %q, set %v, same secrets %v", step.body, s.HeaderValue, v.Set, slices.Equal(s.Secrets, secrets))
		}
	}
	// Nobody else's changed.
	if dev := in.call(t, "GET", "/forwarding", in.devKey, ""); !strings.Contains(dev.body, `"url":"https://app.example.com/events"`) {
		t.Errorf("another environment's settings: %s", dev.body)
	}
	for range 2 {
		if got := in.call(t, "DELETE", "/forwarding", in.key, ""); got.status != 204 {
			t.Errorf("DELETE: %d %s", got.status, got.body)
		}
	}
	in.get(t, "/forwarding", &v)
	if v.From != "deployment" || v.HeaderKey != "X-Acme-Token" {
		t.Errorf("after DELETE: %+v", v)
	}
	for _, secret := range append(secrets, "deployment-secret", all.Settings.Secrets[0]) {
		if got := in.call(t, "GET", "/forwarding", in.key, ""); strings.Contains(got.body, secret) {
			t.Errorf("a secret came back: %s", got.body)
		}
		if strings.Contains(in.log.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
}

func TestForwardingWithoutAndManaged(t *testing.T) {
	t.Parallel()
	in := install(t)
	if err := in.deployments.SetForwarding(t.Context(), in.deployment.ID, forward.Settings{}); err != nil {
		t.Fatal(err)
	}
	if got := in.call(t, "GET", "/forwarding", in.key, ""); got.status != 200 || !strings.Contains(got.body, `"from":"none"`) {
		t.Errorf("without settings: %d %s", got.status, got.body)
	}
	if _, err := in.deployments.Ensure(t.Context(), deployment.Spec{Organization: "Acme", Managed: true, Forwarding: forward.Settings{
		URL: "https://app.example.com/events", Triggers: trigger.List("shop.*"),
	}}); err != nil {
		t.Fatal(err)
	}
	if got := in.call(t, "GET", "/forwarding", in.key, ""); !strings.Contains(got.body, `"managed":true`) {
		t.Errorf("managed: %s", got.body)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		body := ""
		if method == "PUT" {
			body = `{"url":"https://evil.example.com/","triggers":["*"]}`
		}
		if got := in.call(t, method, "/forwarding", in.key, body); got.status != 409 || got.code() != "managed" {
			t.Errorf("%s of managed settings: %d %s", method, got.status, got.body)
		}
	}
}

// externalApp is a program that has the App of every environment.
type externalApp struct{ api.Auth }

func (externalApp) App(context.Context, string, string) (auth.OwnApp, error) {
	return auth.OwnApp{AppRecord: auth.AppRecord{External: true}}, nil
}

func TestWhatTheProgramHas(t *testing.T) {
	t.Parallel()
	in := install(t)
	in = in.with(t, func(c *api.Config) { c.Auth = externalApp{c.Auth} })
	for _, row := range []struct{ method, body string }{{"PUT", `{"client_id":"x"}`}, {"DELETE", ""}} {
		if got := in.call(t, row.method, "/apps/shop", in.key, row.body); got.status != 409 || got.code() != "managed" {
			t.Errorf("%s of the program's App: %d %s", row.method, got.status, got.body)
		}
	}
	own := "4f1c9e2ab7d05386" + "a9b8c7d6e5f40312"
	if _, err := in.deployments.IssueKey(t.Context(), deployment.KeyRequest{Environment: in.prod, Key: own, Managed: true}); err != nil {
		t.Fatal(err)
	}
	if got := in.call(t, "POST", "/api-key", own, ""); got.status != 409 || got.code() != "managed" {
		t.Errorf("replacing the program's key: %d %s", got.status, got.body)
	}
	if got := in.call(t, "GET", "/forwarding", own, ""); got.status != 200 {
		t.Errorf("the program's key: %d %s", got.status, got.body)
	}
}

func TestApps(t *testing.T) {
	t.Parallel()
	in := install(t)
	put := func(body string) (a api.App) {
		t.Helper()
		got := in.call(t, "PUT", "/apps/shop", in.key, body)
		if got.status != 200 {
			t.Fatalf("PUT /apps/shop %s: %d %s", body, got.status, got.body)
		}
		for _, secret := range []string{"client-secret", "sign-secret"} {
			if strings.Contains(got.body, secret) {
				t.Errorf("a secret came back: %s", got.body)
			}
		}
		got.json(t, &a)
		return a
	}
	stored := func() auth.OwnApp {
		t.Helper()
		own, err := in.auth.App(t.Context(), in.prod, "shop")
		if err != nil {
			t.Fatal(err)
		}
		return own
	}
	first := put(`{"client_id":"mine","client_secret":"client-secret","scopes":["x"],"fields":{"signing_secret":"sign-secret","topic":"t"}}`)
	if first.ClientID != "mine" || first.RedirectURI != public+"/oauth/callback" || first.Fields["topic"] != "t" || len(first.Fields) != 1 ||
		!slices.Equal(first.SecretsSet, []string{"client_secret", "signing_secret"}) || !slices.Equal(first.Scopes, []string{"x"}) {
		t.Errorf("PUT: %+v", first)
	}
	if endpoint, ok := strings.CutPrefix(first.WebhookURL, public+"/webhooks/shop/app_"); !ok || len(endpoint) != 26 {
		t.Errorf("webhook_url is %q", first.WebhookURL)
	}
	// Secrets are write-only: what is not named stays, all else is replaced.
	second := put(`{"client_id":"mine"}`)
	if s := stored(); s.App.ClientSecret != "client-secret" || s.App.Fields["signing_secret"] != "sign-secret" || s.App.Fields["topic"] != "" || len(second.Scopes) != 0 {
		t.Errorf("secrets that were not named are gone, or what is none has stayed: %+v", second)
	}
	if second.WebhookURL != first.WebhookURL {
		t.Errorf("the address changed from %s to %s", first.WebhookURL, second.WebhookURL)
	}
	put(`{"client_id":"mine","client_secret":""}`)
	if s := stored(); s.App.ClientSecret != "" {
		t.Error(`client_secret "" did not remove it`)
	}
	// A secret that a key cannot read does not follow to a server that it names.
	put(`{"client_id":"mine","client_secret":"client-secret"}`)
	for body, field := range map[string]string{
		`{"client_id":"mine","fields":{"server":"evil.example"}}`:                      "client_secret",
		`{"client_id":"mine","client_secret":"","fields":{"server":"evil.example"}}`:   "signing_secret",
		`{"client_id":"mine","fields":{"server":"evil.example","signing_secret":"x"}}`: "client_secret",
	} {
		if got := in.call(t, "PUT", "/apps/shop", in.key, body); got.status != 400 || got.code() != "missing_parameter" || got.field() != field {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if s := stored(); s.App.Fields["server"] != "" || s.App.ClientSecret != "client-secret" {
		t.Errorf("a refused App was stored")
	}
	put(`{"client_id":"mine","client_secret":"another","fields":{"server":"new.example","signing_secret":"sign-secret"}}`)
	// Another registration has other secrets.
	if got := in.call(t, "PUT", "/apps/shop", in.key, `{"client_id":"another"}`); got.status != 400 || got.field() != "signing_secret" {
		t.Errorf("another client id took the old secrets over: %d %s", got.status, got.body)
	}
	var c api.Connector
	in.get(t, "/connectors/shop", &c)
	if !c.OwnApp {
		t.Error("own_app is false")
	}
	if got := in.call(t, "GET", "/connectors/shop", in.devKey, ""); !strings.Contains(got.body, `"own_app":false`) {
		t.Error("another environment has it, too")
	}
	for range 2 {
		if got := in.call(t, "DELETE", "/apps/shop", in.key, ""); got.status != 204 {
			t.Errorf("DELETE: %d %s", got.status, got.body)
		}
	}
	in.get(t, "/connectors/shop", &c)
	if c.OwnApp {
		t.Error("own_app is true after DELETE")
	}
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	in := install(t)
	rotate := func(key, body string) api.APIKey {
		t.Helper()
		got := in.call(t, "POST", "/api-key", key, body)
		if got.status != 201 || got.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("POST /api-key: %d %s", got.status, got.body)
		}
		var k api.APIKey
		got.json(t, &k)
		return k
	}
	works := func(key string) bool { return in.call(t, "GET", "/forwarding", key, "").status == 200 }
	second := rotate(in.key, "")
	if works(in.key) || !works(second.Key) || second.OldKeyValidUntil != nil || !strings.HasPrefix(second.Key, "itk_") {
		t.Errorf("without grace: %+v", second)
	}
	third := rotate(second.Key, `{"grace":"1h"}`)
	if !works(second.Key) || !works(third.Key) || third.OldKeyValidUntil == nil || !third.OldKeyValidUntil.Equal(in.config.Now().Add(time.Hour)) {
		t.Errorf("with grace: %+v", third)
	}
	if got := in.call(t, "POST", "/api-key", second.Key, ""); got.status != 401 {
		t.Errorf("a key in its grace period issued a new one: %d", got.status)
	}
	in.now.Add(time.Hour.Milliseconds())
	if works(second.Key) || !works(third.Key) {
		t.Error("after the grace the old key still works, or the new one does not")
	}
	if !works(in.devKey) {
		t.Error("another environment's key was replaced")
	}
	if strings.Contains(in.log.String(), third.Key) {
		t.Error("a key is in the log")
	}
}

func TestHealthAndDocument(t *testing.T) {
	t.Parallel()
	in := install(t)
	if got := in.call(t, "GET", "/healthz", "", ""); got.body != `{"status":"ok","running":false,"oldest_due":"0s"}`+"\n" {
		t.Errorf("healthz: %s", got.body)
	}
	in.example(t, in.key)
	in.now.Add(3000)
	if got := in.call(t, "GET", "/healthz", "", ""); got.body != `{"status":"ok","running":false,"oldest_due":"3s"}`+"\n" {
		t.Errorf("healthz with something due: %s", got.body)
	}
	var served, own openAPI
	in.call(t, "GET", "/openapi.json", "", "").json(t, &served)
	if err := json.Unmarshal(api.OpenAPI(), &own); err != nil {
		t.Fatal(err)
	}
	if len(served.Servers) != 1 || served.Servers[0].URL != public+"/api/v1" {
		t.Errorf("served for %v", served.Servers)
	}
	served.Servers = own.Servers
	if !reflect.DeepEqual(served, own) {
		t.Error("what is served differs in more than its server")
	}
}

// The whole over real HTTP, as a client sees it.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	in := install(t)
	server := httptest.NewServer(in)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+base+"/connector/interactor/webhook/auth-url?account=user-42", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-api-key", in.key)
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), public+"/connect/") || res.ContentLength != int64(len(body)) {
		t.Errorf("%d %q, %v", res.StatusCode, body, err)
	}
}
