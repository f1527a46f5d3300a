package connectortest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/connectortest"
	"github.com/interactorhq/interactor/connector/signature"
	"github.com/interactorhq/interactor/trigger"
)

// shop is a connector that keeps every rule; a test replaces one of its methods
// by a broken one.
type shop struct {
	describe    func(*connector.Description)
	challenge   func(*connector.Inbound) (*connector.Handshake, error)
	verify      func(*connector.Inbound) error
	decode      func(*connector.Inbound) (*connector.Decoded, error)
	identify    func([]connector.Identity) ([]connector.Identity, error)
	subscribe   func(context.Context, *connector.Session, *connector.Subscription) (*connector.Held, error)
	unsubscribe func(context.Context, *connector.Session, *connector.Subscription) error
	list        func([]connector.Held) []connector.Held
	expand      func(*connector.Subscription) (*connector.Expansion, error)
	params      func(context.Context, *connector.Session, trigger.Filter) error
}

type placed struct {
	ID    string `json:"id"`
	Label string `json:"label"`
}

func (s *shop) Describe() connector.Description {
	d := connector.Description{
		Name: "shop", Label: "Shop",
		Endpoints: map[string]connector.Template{"api": "https://{shop}.shop.example/api"},
		OAuth:     &connector.OAuth{Authorize: "https://shop.example/a", Token: connector.Request{URL: "https://shop.example/t"}},
		Fields:    []connector.Field{{Name: "shop", Label: "Shop"}},
		AppFields: []connector.Field{{Name: "signing_secret", Label: "Signing secret", Secret: true}},
		Watches:   []connector.Watch{{Name: "app", Intake: connector.AtApp, Secret: connector.AppSecret("signing_secret"), Poll: time.Hour}},
		Triggers: []trigger.Definition{{Name: "shop.order.placed", Label: "An Order is Placed", Watch: "app", Payload: placed{}, Example: placed{ID: "1"},
			Params: []trigger.Param{{Name: "label", Label: "Label"}}}},
	}
	if s.describe != nil {
		s.describe(&d)
	}
	return d
}

func (s *shop) Challenge(in *connector.Inbound) (*connector.Handshake, error) {
	if s.challenge != nil {
		return s.challenge(in)
	}
	var body struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(in.Body, &body); err != nil || body.Token == "" {
		return nil, nil //nolint:nilerr // no handshake
	}
	return &connector.Handshake{Secret: body.Token}, nil
}

func (s *shop) Verify(_ context.Context, in *connector.Inbound) error {
	if s.verify != nil {
		return s.verify(in)
	}
	return verifyHMAC(in) //nolint:contextcheck // it does no I/O
}

func verifyHMAC(in *connector.Inbound) error {
	return signature.HMAC{Header: "X-Shop-Signature"}.Verify(context.Background(), in)
}

func (s *shop) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	if s.decode != nil {
		return s.decode(in)
	}
	return decodeShop(in)
}

func decodeShop(in *connector.Inbound) (*connector.Decoded, error) {
	var body struct {
		Events []struct {
			ID      string    `json:"id"`
			Account string    `json:"account"`
			Kind    string    `json:"kind"`
			Label   string    `json:"label"`
			At      time.Time `json:"at"`
		} `json:"events"`
	}
	if err := json.Unmarshal(in.Body, &body); err != nil {
		return nil, err
	}
	d := &connector.Decoded{}
	for _, e := range body.Events {
		if e.Kind != "placed" || e.ID == "" {
			return nil, fmt.Errorf("an event of kind %q", e.Kind)
		}
		d.Notices = append(d.Notices, connector.Notice{To: []connector.Key{connector.NewKey("account", e.Account)}, Occurrences: []connector.Occurrence{{
			Trigger: "shop.order.placed", Key: e.ID, OccurredAt: e.At, Attributes: map[string][]string{"label": {e.Label}}, Payload: placed{e.ID, e.Label},
		}}})
	}
	return d, nil
}

func (s *shop) Identify(ctx context.Context, session *connector.Session) ([]connector.Identity, error) {
	var me struct{ Account string }
	if err := session.JSON(ctx, http.MethodGet, "me", nil, &me); err != nil {
		return nil, err
	}
	ids := []connector.Identity{{ID: me.Account, Keys: []connector.Key{connector.NewKey("account", me.Account)}}}
	if s.identify != nil {
		return s.identify(ids)
	}
	return ids, nil
}

func (s *shop) Subscribe(ctx context.Context, session *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	if s.subscribe != nil {
		return s.subscribe(ctx, session, sub)
	}
	return makeHook(ctx, session, sub)
}

// makeHook makes a new one each time; the engine removes the former.
func makeHook(ctx context.Context, session *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	var made struct{ ID string }
	err := session.JSON(ctx, http.MethodPost, "hooks", map[string]string{"address": sub.Address}, &made)
	return &connector.Held{ID: made.ID}, err
}

func (s *shop) Unsubscribe(ctx context.Context, session *connector.Session, sub *connector.Subscription) error {
	if s.unsubscribe != nil {
		return s.unsubscribe(ctx, session, sub)
	}
	err := session.JSON(ctx, http.MethodDelete, "hooks/"+sub.Held.ID, nil, nil)
	if errors.Is(err, connector.ErrGone) {
		return nil
	}
	return err
}

func (s *shop) List(ctx context.Context, session *connector.Session, _ *connector.Subscription) ([]connector.Held, error) {
	var all map[string]string
	if err := session.JSON(ctx, http.MethodGet, "hooks", nil, &all); err != nil {
		return nil, err
	}
	var held []connector.Held
	for id, address := range all {
		held = append(held, connector.Held{ID: id, Address: address})
	}
	if s.list != nil {
		held = s.list(held)
	}
	return held, nil
}

func (s *shop) Expand(_ context.Context, _ *connector.Session, sub *connector.Subscription, _ *connector.Notice) (*connector.Expansion, error) {
	if s.expand != nil {
		return s.expand(sub)
	}
	return &connector.Expansion{Cursor: "now"}, nil
}

func (s *shop) CheckParams(ctx context.Context, session *connector.Session, _ *connector.Subscription, f trigger.Filter) error {
	if s.params != nil {
		return s.params(ctx, session, f)
	}
	if f.Params["label"] == "nope" {
		return &connector.ParamError{Param: "label", Value: "nope", Problem: "there is no such label", Later: true}
	}
	return nil
}

// api is the shop's API with one account.
type api struct {
	mu      sync.Mutex
	account string
	hooks   map[string]string
	next    int
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	status, answer := 200, any(nil)
	id := strings.TrimPrefix(r.URL.Path, "/api/hooks/")
	switch r.Method {
	case http.MethodGet:
		answer = map[string]string{"account": a.account}
		if r.URL.Path == "/api/hooks" {
			answer = maps.Clone(a.hooks)
		}
	case http.MethodPost:
		var in struct {
			Address string `json:"address"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		a.next++
		a.hooks[fmt.Sprint(a.next)] = in.Address
		answer = map[string]string{"id": fmt.Sprint(a.next)}
	case http.MethodDelete:
		if _, ok := a.hooks[id]; !ok {
			status = 404
		}
		delete(a.hooks, id)
		if status == 200 {
			status = 204
		}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	if status == 204 {
		b = nil
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, nil
}

func sign(in *connector.Inbound) {
	mac := hmac.New(sha256.New, []byte(in.Secrets[0]))
	mac.Write(in.Body)
	in.Header.Set("X-Shop-Signature", hex.EncodeToString(mac.Sum(nil)))
}

// suite is the one that the good shop passes.
func suite(c connector.Connector) connectortest.Suite {
	one := func(id, account, at, label string) connector.Inbound {
		return connector.Inbound{Method: http.MethodPost, URL: "https://hooks.example.com/webhooks/shop", Header: http.Header{"Content-Type": {"application/json"}},
			Body: fmt.Appendf(nil, `{"events":[{"id":%q,"account":%q,"kind":"placed","at":%q,"label":%q}]}`, id, account, at, label)}
	}
	var current *api
	session := func(account string) func(testing.TB) *connector.Session {
		return func(testing.TB) *connector.Session {
			a := &api{account: account, hooks: make(map[string]string)}
			if account == "a" {
				current = a
			}
			return &connector.Session{HTTP: &http.Client{Transport: a}, Endpoints: map[string]string{"api": "https://x.shop.example/api"}}
		}
	}
	return connectortest.Suite{
		Connector: c,
		Requests: []connectortest.Request{
			{File: "testdata/batch.http", Name: "batch", Sign: sign, Parts: []string{"first", "second"}},
			{Name: "first", Inbound: one("1", "a", "2026-11-23T15:00:00Z", "new"), Sign: sign, Stranger: "second"},
			{Name: "second", Inbound: one("2", "b", "2026-11-23T15:00:01Z", "old"), Sign: sign},
			{Name: "handshake", Handshake: true, Inbound: connector.Inbound{Body: []byte(`{"token":"the key to be"}`)}},
		},
		Provider: &connectortest.Provider{
			Session: session("a"), Stranger: session("b"), Watches: func() int { return len(current.hooks) },
			Misspelt:     []trigger.Filter{{Trigger: "shop.order.placed", Params: map[string]string{"label": "nope"}}},
			Subscription: connector.Subscription{ID: "sub_1", Watch: "app", Address: "https://hooks.example.com/webhooks/shop"},
		},
	}
}

// recorder is a testing.TB that keeps what it is told.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed []string
	logged []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}
func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logged = append(r.logged, fmt.Sprintf(format, args...))
}

// rules returns the names of the rules that were broken.
func (r *recorder) rules() []string {
	var names []string
	for _, f := range r.failed {
		name, _, _ := strings.Cut(strings.TrimPrefix(f, "["), "]")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
