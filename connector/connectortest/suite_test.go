package connectortest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/connectortest"
	"github.com/interactorhq/interactor/trigger"
)

func TestGoodConnectorPasses(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, suite(&shop{}))
}

// Each row is a connector that breaks one rule; the suite must say which.
func TestBrokenConnectorsFail(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	for _, c := range []struct {
		name   string
		broken shop
		change func(*connectortest.Suite)
		rule   string
	}{
		{name: "does not fit together", rule: "registry", broken: shop{describe: func(d *connector.Description) { d.Triggers[0].Watch = "" }}},
		{name: "tokens in clear", rule: "https", broken: shop{describe: func(d *connector.Description) { d.OAuth.Token.URL = "http://shop.example/t" }}},

		{name: "accepts without a secret", rule: "verify none", broken: shop{verify: func(in *connector.Inbound) error {
			if len(in.Secrets) == 0 {
				return nil
			}
			return verifyHMAC(in)
		}}},
		{name: "accepts an empty secret", rule: "verify empty", broken: shop{verify: func(in *connector.Inbound) error {
			if len(in.Secrets) == 1 && in.Secrets[0] == "" {
				return nil
			}
			return verifyHMAC(in)
		}}},
		{name: "accepts what an empty secret signed", rule: "verify empty", broken: shop{verify: func(in *connector.Inbound) error {
			if !slices.Contains(in.Secrets, "") {
				return verifyHMAC(in)
			}
			mine := *in
			mine.Header = in.Header.Clone()
			sign(&mine)
			if mine.Header.Get("X-Shop-Signature") != in.Header.Get("X-Shop-Signature") {
				return connector.ErrUnproven
			}
			return nil
		}}},
		{name: "accepts wrong secrets", rule: "verify wrong", broken: shop{verify: func(in *connector.Inbound) error {
			if in.Header.Get("X-Shop-Signature") == "" || len(in.Secrets) == 0 || in.Secrets[0] == "" || strings.HasSuffix(string(in.Body), " ") || len(in.Body) == 0 {
				return connector.ErrUnproven
			}
			return nil
		}}},
		{name: "looks at the header only", rule: "verify body", broken: shop{verify: fixed}},
		{name: "a missing header is a pass", rule: "verify headers", broken: shop{verify: func(in *connector.Inbound) error {
			if in.Header.Get("X-Shop-Signature") == "" {
				return nil
			}
			return verifyHMAC(in)
		}}},
		{name: "tries the first secret only", rule: "verify right", broken: shop{verify: func(in *connector.Inbound) error {
			mine := *in
			mine.Secrets = in.Secrets[:min(1, len(in.Secrets))]
			return verifyHMAC(&mine)
		}}},
		{name: "refuses everything", rule: "verify right", broken: shop{verify: func(*connector.Inbound) error { return connector.ErrUnproven }}},
		{name: "an error of its own", rule: "verify unproven", broken: shop{verify: func(in *connector.Inbound) error {
			if err := verifyHMAC(in); err != nil {
				return errors.New("no")
			}
			return nil
		}}},
		{name: "eats the body", rule: "verify pure", broken: shop{verify: func(in *connector.Inbound) error {
			err := verifyHMAC(in)
			if len(in.Body) > 0 {
				in.Body[0] = ' '
			}
			return err
		}}},
		{name: "panics in Verify", rule: "verify none", broken: shop{verify: func(in *connector.Inbound) error {
			_ = in.Secrets[0]
			return verifyHMAC(in)
		}}},

		{name: "understands nothing", rule: "decode", broken: shop{decode: func(*connector.Inbound) (*connector.Decoded, error) { return nil, errors.New("no") }}},
		{name: "a key of its own each time", rule: "decode repeat", broken: decoding(counter(&count))},
		{name: "changes the request", rule: "decode pure", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			d, err := decodeShop(in)
			in.Header.Del("Content-Type")
			return d, err
		}}},
		{name: "an undeclared trigger", rule: "decode declared", broken: decoding(func(o *connector.Occurrence) { o.Trigger = "shop.order.paid" })},
		{name: "no key", rule: "decode declared", broken: decoding(func(o *connector.Occurrence) { o.Key = "" })},
		{name: "a payload of another type", rule: "decode declared", broken: decoding(func(o *connector.Occurrence) { o.Payload = map[string]string{"id": "1"} })},
		{name: "raw that is no JSON", rule: "decode declared", broken: decoding(func(o *connector.Occurrence) { o.Raw = []byte("<xml>") })},
		{name: "one key for all", rule: "decode distinct", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			d, err := decodeShop(in)
			if err != nil {
				return nil, err
			}
			for i := range d.Notices {
				d.Notices[i].To = []connector.Key{"everybody"}
				d.Notices[i].Occurrences[0].Key = "1"
			}
			return d, nil
		}}},
		{name: "keys by place in the batch", rule: "decode batch", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			d, err := decodeShop(in)
			for i := range notices(d) {
				d.Notices[i].Occurrences[0].Key = fmt.Sprint("place ", i)
			}
			return d, err
		}}},
		{name: "only the first of a batch", rule: "decode batch", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			d, err := decodeShop(in)
			if len(notices(d)) > 1 {
				d.Notices = d.Notices[:1]
			}
			return d, err
		}}},
		{name: "one key for all accounts", rule: "decode stranger", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			d, err := decodeShop(in)
			for i := range notices(d) {
				d.Notices[i].To = append(d.Notices[i].To, "everybody")
			}
			return d, err
		}}},
		{name: "for nobody", rule: "decode to", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			d, err := decodeShop(in)
			for i := range notices(d) {
				d.Notices[i].To = nil
			}
			return d, err
		}}},
		{name: "panics on garbage", rule: "decode garbage", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			if len(in.Body) < 10 {
				panic("too short")
			}
			return decodeShop(in)
		}}},
		{name: "no answer and no error", rule: "decode garbage", broken: shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
			d, _ := decodeShop(in)
			return d, nil
		}}},
		{name: "no attribute to filter by", rule: "attributes", broken: decoding(func(o *connector.Occurrence) { o.Attributes = nil })},
		{name: "not what the file says", rule: "golden", broken: decoding(func(o *connector.Occurrence) { o.Attributes["more"] = []string{"x"} })},

		{name: "answers signed requests before Verify", rule: "challenge signed", broken: shop{challenge: func(*connector.Inbound) (*connector.Handshake, error) { return &connector.Handshake{Secret: "x"}, nil }}},
		{name: "does not answer", rule: "challenge answer", broken: shop{challenge: func(*connector.Inbound) (*connector.Handshake, error) { return nil, nil }}},
		{name: "signs what it is asked to", rule: "challenge oracle", broken: shop{challenge: func(in *connector.Inbound) (*connector.Handshake, error) {
			if !strings.Contains(string(in.Body), "token") {
				return nil, nil
			}
			if len(in.Secrets) > 0 {
				in.Header = http.Header{}
				sign(in)
			}
			return &connector.Handshake{Secret: "x", Reply: connector.Reply{Body: []byte(in.Header.Get("X-Shop-Signature"))}}, nil
		}}},
		{name: "lets itself be taken over", rule: "challenge second", broken: shop{challenge: func(in *connector.Inbound) (*connector.Handshake, error) {
			if !strings.Contains(string(in.Body), "token") {
				return nil, nil
			}
			if len(in.Secrets) > 0 {
				return &connector.Handshake{}, nil
			}
			return &connector.Handshake{Secret: "x"}, nil
		}}},

		{name: "nobody", rule: "identify", broken: shop{identify: func([]connector.Identity) ([]connector.Identity, error) { return nil, nil }}},
		{name: "somebody else each time", rule: "identify", broken: shop{identify: func(ids []connector.Identity) ([]connector.Identity, error) {
			ids[0].ID = fmt.Sprint(count.Add(1))
			return ids, nil
		}}},
		{name: "all the same", rule: "identities", broken: shop{identify: func(ids []connector.Identity) ([]connector.Identity, error) {
			ids[0].ID = "me"
			return ids, nil
		}}},
		{name: "a shared key", rule: "identities", broken: shop{identify: func(ids []connector.Identity) ([]connector.Identity, error) {
			ids[0].Keys = append(ids[0].Keys, "everybody")
			return ids, nil
		}}},
		{name: "no id of the watch", rule: "subscribe", broken: shop{subscribe: func(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
			h, err := makeHook(ctx, s, sub)
			h.ID = ""
			return h, err
		}}},
		{name: "one more watch with each renewal", rule: "subscribe again", broken: shop{subscribe: func(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
			h, err := makeHook(ctx, s, sub)
			if sub.Held.ID != "" {
				h.ID = sub.Held.ID // says that it changed it in place
			}
			return h, err
		}}},
		{name: "does not remove", rule: "unsubscribe", broken: shop{
			subscribe: func(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
				if sub.Held.ID != "" {
					return &sub.Held, nil
				}
				return makeHook(ctx, s, sub)
			},
			unsubscribe: func(context.Context, *connector.Session, *connector.Subscription) error { return nil }}},
		{name: "gone is an error", rule: "unsubscribe", broken: shop{unsubscribe: func(ctx context.Context, s *connector.Session, sub *connector.Subscription) error {
			return s.JSON(ctx, http.MethodDelete, "hooks/"+sub.Held.ID, nil, nil)
		}}},
		{name: "a list without addresses", rule: "list", broken: shop{list: func(all []connector.Held) []connector.Held {
			for i := range all {
				all[i].Address = ""
			}
			return all
		}}},
		{name: "rejects what has no params", rule: "params", broken: shop{params: func(context.Context, *connector.Session, trigger.Filter) error {
			return &connector.ParamError{Param: "label", Value: "nope", Problem: "it is not there"}
		}}},
		{name: "rejects nothing", rule: "params", broken: shop{params: func(context.Context, *connector.Session, trigger.Filter) error { return nil }}},
		{name: "rejects a param that is not declared", rule: "params", broken: shop{params: func(_ context.Context, _ *connector.Session, f trigger.Filter) error {
			if len(f.Params) == 0 {
				return nil
			}
			return &connector.ParamError{Param: "labels", Value: "nope", Problem: "it is not there"}
		}}},
		{name: "makes a watch to try params", rule: "params", broken: shop{params: func(ctx context.Context, s *connector.Session, f trigger.Filter) error {
			if len(f.Params) == 0 {
				return nil
			}
			if _, err := makeHook(ctx, s, &connector.Subscription{Address: "http://127.0.0.1:1/"}); err != nil {
				return err
			}
			return connector.ErrRefused
		}}},
		{name: "years of old events", rule: "expand start", broken: shop{expand: func(*connector.Subscription) (*connector.Expansion, error) {
			return &connector.Expansion{Cursor: "x", Notices: []connector.Notice{{Occurrences: []connector.Occurrence{{}}}}}, nil
		}}},
		{name: "never a cursor", rule: "expand start", broken: shop{expand: func(*connector.Subscription) (*connector.Expansion, error) {
			return &connector.Expansion{}, nil
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			connectortest.Run(r, suite(&c.broken))
			if !slices.Contains(r.rules(), c.rule) {
				t.Errorf("want the rule %q among %q", c.rule, r.rules())
			}
			for _, f := range r.failed {
				if !strings.Contains(f, "the rule: ") && !strings.HasPrefix(f, "connectortest: ") {
					t.Errorf("no explanation: %s", f)
				}
			}
		})
	}
}

func notices(d *connector.Decoded) []connector.Notice {
	if d == nil {
		return nil
	}
	return d.Notices
}

// decoding is a shop whose Occurrences are changed.
func decoding(change func(*connector.Occurrence)) shop {
	return shop{decode: func(in *connector.Inbound) (*connector.Decoded, error) {
		d, err := decodeShop(in)
		for i := range notices(d) {
			change(&d.Notices[i].Occurrences[0])
		}
		return d, err
	}}
}

func counter(n *atomic.Int64) func(*connector.Occurrence) {
	return func(o *connector.Occurrence) { o.Key = fmt.Sprint(n.Add(1)) }
}

// fixed checks the signature of the body without what was added to it.
func fixed(in *connector.Inbound) error {
	mine := *in
	mine.Body = []byte(strings.TrimRight(string(in.Body), " "))
	return verifyHMAC(&mine)
}

func TestSuiteMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*connectortest.Suite)
		want   string
	}{
		{"no connector", func(s *connectortest.Suite) { s.Connector = nil }, "Suite.Connector is missing"},
		{"no session", func(s *connectortest.Suite) { s.Provider.Session = nil }, "Provider.Session is missing"},
		{"no count", func(s *connectortest.Suite) { s.Provider.Watches = nil }, "Provider.Watches is missing"},
		{"no file", func(s *connectortest.Suite) { s.Requests[0].File = "testdata/none.http" }, "testdata/none.http"},
		{"unknown part", func(s *connectortest.Suite) { s.Requests[0].Parts[0] = "third" }, `Parts names "third"`},
		{"unknown stranger", func(s *connectortest.Suite) { s.Requests[1].Stranger = "third" }, `Stranger names "third"`},
		{"not signed", func(s *connectortest.Suite) { s.Requests[1].Sign = nil }, "verify right"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			s := suite(&shop{})
			c.change(&s)
			connectortest.Run(r, s)
			if !strings.Contains(strings.Join(r.failed, "\n"), c.want) {
				t.Errorf("want %q in %q", c.want, r.failed)
			}
		})
	}
}

func TestUntriedIsLogged(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	connectortest.Run(r, connectortest.Suite{Connector: &shop{}})
	if got := strings.Join(r.logged, "\n"); len(r.failed) > 0 || !strings.Contains(got, "shop.order.placed") || !strings.Contains(got, "Provider is nil") {
		t.Errorf("failed %q, logged %q", r.failed, got)
	}
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, url, body, err string }{
		{"LF", "POST /a?b=1 HTTP/1.1\nHost: x.example\nA: 1\n\nbody\n\nmore", "https://x.example/a?b=1", "body\n\nmore", ""},
		{"CRLF", "POST /a HTTP/1.1\r\nHost: x.example\r\n\r\nbody\n\n", "https://x.example/a", "body\n\n", ""},
		{"whole URL", "GET https://y.example/ HTTP/1.1\nA: 1\n\n", "https://y.example/", "", ""},
		{"no host", "POST /a HTTP/1.1\nA: 1\n\n", "", "", "Host is missing"},
		{"no empty line", "POST /a HTTP/1.1\nHost: x", "", "", "no empty line"},
		{"no request line", "Host: x.example\n\n", "", "", "request line"},
		{"no headers", "POST /a HTTP/1.1\nbroken\n\n", "", "", "headers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in, err := connectortest.ParseRequest([]byte(c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || in.URL != c.url || string(in.Body) != c.body || in.Header.Get("Host") != "" {
				t.Errorf("got %+v, %v", in, err)
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("POST /a HTTP/1.1\nHost: x\n\nbody"))
	f.Add([]byte("GET https://x/ HTTP/1.1\r\nA: 1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if in, err := connectortest.ParseRequest(text); err == nil && (in.Method == "" || in.URL == "" || len(in.Body) > len(text)) {
			t.Errorf("got %+v", in)
		}
	})
}
