package connector_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// bare describes and can do nothing else.
type bare struct{ connector.Description }

func (b bare) Describe() connector.Description { return b.Description }

// full can do everything, by stubs: the registry asks what is there, not what it does.
type full struct {
	bare
	connector.Verifier
	connector.Decoder
	connector.Expander
	connector.Identifier
	connector.Subscriber
	connector.Lister
	app *connector.App
}

func (f full) DefaultApp() (connector.App, bool) {
	if f.app == nil {
		return connector.App{}, false
	}
	return *f.app, true
}

type verifier struct{}

func (verifier) Verify(context.Context, *connector.Inbound) error { return nil }

type payload struct {
	ID   string    `json:"id" jsonschema:"what it is"`
	At   time.Time `json:"at"`
	Tags []string  `json:"tags,omitempty"`
	Raw  []byte    `json:"raw,omitempty"`
	Any  json.RawMessage
}

type owned struct {
	ID string `json:"id"`
}

func (owned) Triggers() []string { return []string{"shop.other"} }

type loop struct{ Next *loop }

func description() connector.Description {
	return connector.Description{
		Name: "shop", Label: "Shop",
		Endpoints: map[string]connector.Template{"api": "https://{shop}.myshop.example/api"},
		OAuth: &connector.OAuth{
			Authorize: "https://{shop}.myshop.example/authorize",
			Token:     connector.Request{URL: "https://{shop}.myshop.example/token"},
		},
		Fields:    []connector.Field{{Name: "shop", Label: "Your shop", Pattern: `[a-z0-9-]+`}, {Name: "key", Label: "Key", Secret: true}},
		AppFields: []connector.Field{{Name: "signing_secret", Label: "Signing secret", Secret: true}, {Name: "url", Label: "Address", Optional: true}},
		Watches: []connector.Watch{
			{Name: "hook", Intake: connector.AtSubscription, Secret: connector.SecretOurs, Resource: "repos/{repo}|user"},
			{Name: "app", Intake: connector.AtApp, Secret: connector.AppSecret("signing_secret")},
		},
		Triggers: []trigger.Definition{
			{Name: "shop.order.placed", Label: "An Order is Placed", Watch: "hook", Payload: payload{}, Example: payload{ID: "1", Any: json.RawMessage(`{"a":[1]}`)},
				Params: []trigger.Param{{Name: "repo", Label: "Repository", Pattern: `[^/]+/[^/]+`}}},
			{Name: "shop.app.removed", Label: "The App is Removed", Watch: "app", Payload: payload{}, Example: payload{ID: "2"}},
		},
	}
}

func stub() full {
	f := full{bare: bare{description()}, Verifier: verifier{}}
	b := Billing{}
	f.Decoder, f.Identifier, f.Subscriber = b, b, b
	f.Lister = lister{}
	f.Expander = expander{}
	return f
}

type lister struct{}

func (lister) List(context.Context, *connector.Session, *connector.Subscription) ([]connector.Held, error) {
	return nil, nil
}

type expander struct{}

func (expander) Expand(context.Context, *connector.Session, *connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
	return nil, nil
}

// passive is without the capabilities that the engine calls through a Session.
type passive struct {
	bare
	connector.Verifier
	connector.Decoder
}

func TestRegistryAccepts(t *testing.T) {
	t.Parallel()
	r, err := connector.NewRegistry(stub(), NewBilling(connector.App{}))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for e := range r.All() {
		names = append(names, e.Name)
	}
	if !slices.Equal(names, []string{"billing", "shop"}) {
		t.Errorf("All: %v", names)
	}
	e, ok := r.Lookup("shop")
	if !ok || e.Lister == nil || e.Renewer != nil || e.Streamer != nil {
		t.Errorf("Lookup: %v", ok)
	}
	if _, ok := r.Lookup("nothing"); ok {
		t.Error("Lookup found what is not there")
	}
	if w, ok := e.Watch("hook"); !ok || w.Secret != connector.SecretOurs {
		t.Errorf("Watch: %v", ok)
	}
}

func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	type change = func(*full)
	for _, c := range []struct {
		name   string
		change change
		want   []string // parts of the error
	}{
		{"no name", func(f *full) { f.Name = "" }, []string{"without a name: Name is missing"}},
		{"a name for nobody's URL", func(f *full) { f.Name = "My Shop" }, []string{"Name must be small letters"}},
		{"a reserved name", func(f *full) { f.Name = "connection" }, []string{"Name is reserved"}},
		{"no label", func(f *full) { f.Label = "" }, []string{"connector shop: Label is missing"}},
		{"an answer that asks for more", func(f *full) { f.Accepted.Status = 500 }, []string{"Accepted.Status is 500"}},
		{"field name", func(f *full) { f.Fields[0].Name = "Shop" }, []string{`Fields "Shop": Name must be`}},
		{"field of the engine", func(f *full) { f.Fields[1].Name = "token" }, []string{`Fields "token": Name is reserved`}},
		{"field twice", func(f *full) { f.Fields[1].Name = "shop" }, []string{`Fields "shop": is declared twice`}},
		{"field without label", func(f *full) { f.Fields[0].Label = "" }, []string{`Fields "shop": Label is missing`}},
		{"field pattern", func(f *full) { f.Fields[0].Pattern = "(" }, []string{`Fields "shop": Pattern is no regular expression`}},
		{"field default", func(f *full) { f.Fields[0].Default = "A B" }, []string{`Fields "shop": Default is refused`}},
		{"secret default", func(f *full) { f.Fields[1].Default = "x" }, []string{`Fields "key": Default of a secret`}},
		{"app field client_id", func(f *full) { f.AppFields[1].Name = "client_id" }, []string{"AppFields lists client_id"}},

		{"a host that the user chooses, authorize", func(f *full) { f.OAuth.Authorize = "https://{shop}/authorize" },
			[]string{"OAuth.Authorize lets an end user choose the host with {shop}", "{shop}.example.com"}},
		{"a host that the user chooses, token", func(f *full) { f.OAuth.Token.URL = "https://{shop}/token" }, []string{"OAuth.Token.URL lets an end user"}},
		{"a host that the user chooses, refresh", func(f *full) { f.OAuth.Refresh = &connector.Request{URL: "https://{shop}/token"} }, []string{"OAuth.Refresh.URL lets an end user"}},
		{"a host that the user chooses, revoke", func(f *full) { f.OAuth.Revoke = &connector.Request{URL: "https://{shop}.com/x"} }, []string{"OAuth.Revoke.URL lets an end user"}},
		{"a host that the user chooses, API", func(f *full) { f.Endpoints["api"] = "https://{shop}:443/api" }, []string{`Endpoints["api"] lets an end user`}},
		{"the user ends the host", func(f *full) { f.OAuth.Authorize = "https://api.{shop}/x" }, []string{"OAuth.Authorize lets an end user"}},
		{"the user begins the domain", func(f *full) { f.OAuth.Authorize = "https://{shop}myshop.example/x" }, []string{"OAuth.Authorize lets an end user"}},
		{"the user in an alternative", func(f *full) { f.OAuth.Authorize = "https://myshop.example/x|https://{shop}/x" }, []string{"OAuth.Authorize lets an end user"}},
		{"the user gives the whole origin", func(f *full) { f.OAuth.Token.URL = "{shop}/token" }, []string{"OAuth.Token.URL lets an end user"}},
		{"the callback chooses the host", func(f *full) {
			f.OAuth.Callback = map[string]string{"site": "site"}
			f.OAuth.Token.URL = "https://{site}/token"
		}, []string{"OAuth.Token.URL lets an end user"}},
		{"no address", func(f *full) { f.OAuth.Token.URL = "" }, []string{"OAuth.Token.URL is empty"}},
		{"no URL", func(f *full) { f.OAuth.Token.URL = "myshop.example/token" }, []string{"OAuth.Token.URL", "is no URL"}},
		{"unknown placeholder", func(f *full) { f.OAuth.Token.URL = "https://myshop.example/{tenant}" }, []string{"OAuth.Token.URL has the placeholder {tenant}"}},
		{"unknown app field", func(f *full) { f.OAuth.Authorize = "{app.host}/x" }, []string{"OAuth.Authorize has the placeholder {app.host}"}},
		{"too early", func(f *full) {
			f.OAuth.Answer.Keep = map[string]string{"site": "site"}
			f.OAuth.Authorize = "https://myshop.example/{site}"
		}, []string{"OAuth.Authorize has the placeholder {site}, which is not known before consent"}},
		{"malformed template", func(f *full) { f.Use.Header = map[string]connector.Template{"X-Token": "{token"} }, []string{`Use.Header["X-Token"] is malformed`, "unclosed"}},
		{"path of credentials", func(f *full) { f.Use.Path = "bot{token}" }, []string{"Use.Path must begin with /"}},
		{"password alone", func(f *full) { f.Use.Pass = "{token}" }, []string{"Use.User is missing"}},
		{"scopes in one", func(f *full) { f.OAuth.Scopes = []string{"a b"} }, []string{"OAuth.Scopes[0]"}},
		{"method", func(f *full) { f.OAuth.Token.Method = "FETCH" }, []string{"OAuth.Token.Method"}},
		{"callback keeps the state", func(f *full) { f.OAuth.Callback = map[string]string{"x": "state"} }, []string{`OAuth.Callback keeps the parameter "state"`}},

		{"no decoder", func(f *full) { f.Decoder = nil }, []string{"Decode"}},
		{"unknown watch", func(f *full) { f.Triggers[0].Watch = "hooks" }, []string{`Triggers "shop.order.placed": Watch is "hooks"`, `Watches "hook": is unused`}},
		{"watch twice", func(f *full) { f.Watches[1].Name = "hook" }, []string{`Watches "hook": is declared twice`}},
		{"poll without pace", func(f *full) { f.Watches[0] = connector.Watch{Name: "hook", Resource: "{repo}|x"} }, []string{"Poll is missing"}},
		{"own address without key", func(f *full) { f.Watches[0].Secret = connector.SecretNone }, []string{"Secret is missing"}},
		{"a Connection's key at the App's address", func(f *full) { f.Watches[1].Secret = connector.ConnectionSecret("key") }, []string{"Intake must be AtSubscription"}},
		{"a key nobody declares", func(f *full) { f.Watches[1].Secret = connector.AppSecret("nope") }, []string{`the App's field "nope"`}},
		{"a key that is shown", func(f *full) { f.Watches[1].Secret = connector.AppSecret("url") }, []string{`the App's field "url", which is not Secret`}},
		{"a Connection's key that is shown", func(f *full) { f.Watches[0].Secret = connector.ConnectionSecret("shop") }, []string{`"shop", which must be Secret`}},
		{"nonsense for a key", func(f *full) { f.Watches[1].Secret = "mine" }, []string{`Secret is "mine"`}},
		{"resource without param", func(f *full) { f.Watches[1].Resource = "orgs/{org}" }, []string{"trigger shop.app.removed must have a Param of that name"}},
		{"resource with an optional param", func(f *full) { f.Watches[0].Resource = "repos/{repo}" }, []string{"cannot be filled in for trigger shop.order.placed"}},
		{"resource with topics", func(f *full) { f.Watches[1].Resource = "{topic}" }, []string{"must list Topics"}},

		{"trigger of another", func(f *full) { f.Triggers[0].Name = "store.order" }, []string{`Triggers "store.order": Name must be "shop."`}},
		{"trigger twice", func(f *full) { f.Triggers[1].Name = f.Triggers[0].Name }, []string{"is declared twice"}},
		{"trigger without label", func(f *full) { f.Triggers[0].Label = "" }, []string{`Triggers "shop.order.placed": Label is missing`}},
		{"param pattern", func(f *full) { f.Triggers[0].Params[0].Pattern = "(" }, []string{`Params "repo": Pattern`}},
		{"param label", func(f *full) { f.Triggers[0].Params[0].Label = "" }, []string{`Params "repo" has no Label`}},
		{"no payload", func(f *full) { f.Triggers[0].Payload = nil }, []string{"Payload is nil"}},
		{"payload is no struct", func(f *full) { f.Triggers[0].Payload = map[string]any{} }, []string{"put a struct there"}},
		{"example of another type", func(f *full) { f.Triggers[0].Example = owned{} }, []string{"both must be of one type"}},
		{"empty example", func(f *full) { f.Triggers[0].Example = payload{} }, []string{"fill it in"}},
		{"example does not match", func(f *full) { f.Triggers[0].Payload, f.Triggers[0].Example = odd{}, odd{1} }, []string{"Example does not match"}},
		{"payload of another trigger", func(f *full) { f.Triggers[0].Payload, f.Triggers[0].Example = owned{}, owned{"1"} }, []string{"does not list it"}},
		{"endless payload", func(f *full) { f.Triggers[0].Payload, f.Triggers[0].Example = loop{}, loop{&loop{}} }, []string{"no JSON Schema", "cycle"}},

		{"default app without id", func(f *full) { f.app = &connector.App{Fields: map[string]string{"signing_secret": "x"}} }, []string{"DefaultApp: client_id is missing"}},
		{"default app without field", func(f *full) { f.app = &connector.App{ClientID: "x"} }, []string{"DefaultApp: signing_secret is missing"}},
		{"default app with more", func(f *full) {
			f.app = &connector.App{ClientID: "x", Fields: map[string]string{"signing_secret": "x", "oops": "x"}}
		}, []string{`DefaultApp: "oops" is unknown`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := stub()
			f.Endpoints = maps.Clone(f.Endpoints)
			c.change(&f)
			var wrapped connector.Connector = f
			if f.Decoder == nil {
				wrapped = struct {
					bare
					connector.Verifier
				}{f.bare, f.Verifier}
			}
			_, err := connector.NewRegistry(wrapped)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("want %q in:\n%v", w, err)
				}
			}
		})
	}
}

// odd encodes as something that its type does not say.
type odd struct{ N int }

func (o odd) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%d"`, o.N), nil }

func TestRegistryCapabilities(t *testing.T) {
	t.Parallel()
	f := stub()
	for _, c := range []struct {
		name      string
		connector connector.Connector
		want      []string
	}{
		{"describes only", f.bare, []string{`Watches "hook": needs Verify`, `Watches "hook": needs Decode`, `Watches "hook": needs Subscribe`}},
		{"no subscriber", passive{f.bare, f.Verifier, f.Decoder}, []string{`Watches "hook": needs Subscribe: it tells the provider the secret`}},
		{"lister alone", struct {
			passive
			connector.Lister
		}{passive{f.bare, f.Verifier, f.Decoder}, lister{}}, []string{"Subscribe is missing: List works on watches"}},
		{"poller without Expand", passive{bare{changed(func(d *connector.Description) {
			d.Watches[0] = connector.Watch{Name: "hook", Poll: time.Minute}
		})}, f.Verifier, f.Decoder}, []string{`Watches "hook": needs Expand`}},
		{"per identity without Identify", passive{bare{changed(func(d *connector.Description) {
			d.Watches[1].Per, d.Watches[1].Resource = connector.PerIdentity, "{identity}"
		})}, f.Verifier, f.Decoder}, []string{"needs Identify: Per is PerIdentity", "Resource has {identity}: it needs Identify"}},
		{"stream without Stream", passive{bare{changed(func(d *connector.Description) {
			d.Watches[1].Intake = connector.FromAppStream
		})}, f.Verifier, f.Decoder}, []string{"needs Stream"}},
		{"nil", nil, []string{"number 1 is nil"}},
		{"a nil pointer", (*pointer)(nil), []string{"number 1 is nil"}},
		{"changing its mind", &pointer{}, []string{"Describe returned two different values"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := connector.NewRegistry(c.connector)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("want %q in:\n%v", w, err)
				}
			}
		})
	}
}

func changed(change func(*connector.Description)) connector.Description {
	d := description()
	change(&d)
	return d
}

type pointer struct{ n int }

func (p *pointer) Describe() connector.Description {
	p.n++
	return connector.Description{Name: "p", Label: fmt.Sprint("P", p.n)}
}

func TestRegistryReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	a, b := stub(), stub()
	a.Label, b.Label = "", ""
	a.Triggers[0].Label = ""
	_, err := connector.NewRegistry(a, b)
	var all interface{ Unwrap() []error }
	if !errors.As(err, &all) || len(all.Unwrap()) != 4 {
		t.Errorf("want 4 disagreements, two labels, a trigger's and the name taken twice:\n%v", err)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	r, err := connector.NewRegistry(stub())
	if err != nil {
		t.Fatal(err)
	}
	e, _ := r.Lookup("shop")
	got := string(e.Schema("shop.order.placed"))
	want := `{"type":"object","$schema":"https://json-schema.org/draft/2020-12/schema","title":"An Order is Placed","properties":{` +
		`"id":{"type":"string","description":"what it is"},"at":{"type":"string","format":"date-time"},` +
		`"tags":{"type":["null","array"],"items":{"type":"string"}},"raw":{"type":["null","string"],"contentEncoding":"base64"},"Any":true},` +
		`"required":["id","at","Any"]}`
	var a, b any
	if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(want), &b) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if e.Schema("shop.nothing") != nil || e.Example("shop.nothing") != nil {
		t.Error("there is a schema of nothing")
	}
	s := e.Example("shop.order.placed")
	s[0] = 'x'
	if string(e.Example("shop.order.placed"))[0] != '{' {
		t.Error("a caller can change what others see")
	}
}

func TestRegistryCheck(t *testing.T) {
	t.Parallel()
	r, err := connector.NewRegistry(stub(), NewBilling(connector.App{}))
	if err != nil {
		t.Fatal(err)
	}
	with := func(params ...string) trigger.Filter {
		f := trigger.Filter{Trigger: "shop.order.placed", Params: map[string]string{}}
		for i := 0; i < len(params); i += 2 {
			f.Params[params[i]] = params[i+1]
		}
		return f
	}
	for _, c := range []struct {
		name string
		list []trigger.Filter
		want string
	}{
		{"empty", nil, ""},
		{"names", trigger.List("shop.order.placed", "billing.invoice.paid"), ""},
		{"wildcards", trigger.List("*", "shop.*", "shop.order.*"), ""},
		{"news", trigger.List("connection.expired", "connection.*"), ""},
		{"params", []trigger.Filter{with("repo", "a/b")}, ""},
		{"unknown trigger", trigger.List("shop.order.paid"), `Triggers[0]: shop has no trigger "shop.order.paid"; it has shop.app.removed, shop.order.placed`},
		{"unknown branch", trigger.List("shop.refund.*"), `Triggers[0]: shop has no trigger "shop.refund.*"`},
		{"unknown connector", trigger.List("*", "stop.order"), `Triggers[1]: there is no connector "stop" for trigger "stop.order"; there are billing, shop`},
		{"unknown news", trigger.List("connection.lost"), `there is no connector "connection"`},
		{"malformed", trigger.List("shop"), "malformed"},
		{"unknown param", []trigger.Filter{with("label", "x")}, `no param "label"`},
		{"param of a wrong form", []trigger.Filter{with("repo", "x")}, "must match"},
		{"params of a wildcard", []trigger.Filter{{Trigger: "shop.*", Params: map[string]string{"repo": "a/b"}}}, "Triggers[0]"},
		{"params of news", []trigger.Filter{{Trigger: "connection.expired", Params: map[string]string{"repo": "a/b"}}}, "takes no params"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := r.Check(c.list, "connection.expired")
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			var one *connector.TriggerError
			if err != nil && !errors.As(err, &one) {
				t.Errorf("%T", err)
			}
		})
	}
	if err := r.Check(trigger.List("a.b", "c.d")); strings.Count(err.Error(), "Triggers[") != 2 {
		t.Errorf("not all at once: %v", err)
	}
}
