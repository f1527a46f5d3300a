package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

func TestURLBadInput(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) { f.product.app = connector.App{} })
	field := func(want string) func(error) bool {
		return func(err error) bool {
			var bad *auth.RequestError
			return errors.As(err, &bad) && bad.Field == want
		}
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for name, row := range map[string]struct {
		req  auth.ConnectRequest
		want func(error) bool
	}{
		"missing connector":    {auth.ConnectRequest{Account: "a"}, field("connector")},
		"unknown connector":    {auth.ConnectRequest{Connector: "nope", Account: "a"}, is(auth.ErrUnknownConnector)},
		"missing account":      {auth.ConnectRequest{Connector: "keyed"}, field("account")},
		"long account":         {auth.ConnectRequest{Connector: "keyed", Account: strings.Repeat("a", 513)}, field("account")},
		"account with newline": {auth.ConnectRequest{Connector: "keyed", Account: "a\nb"}, field("account")},
		"account not UTF-8":    {auth.ConnectRequest{Connector: "keyed", Account: "a\xff"}, field("account")},
		"no App":               {auth.ConnectRequest{Connector: "acme", Account: "a"}, is(auth.ErrNoApp)},
		"unknown field": {auth.ConnectRequest{Connector: "keyed", Account: "a", Input: map[string]string{"nope": "x"}}, func(err error) bool {
			var bad *auth.InputError
			return errors.As(err, &bad) && bad.Invalid["nope"] != ""
		}},
		"refused field": {auth.ConnectRequest{Connector: "keyed", Account: "a", Input: map[string]string{"region": "mars"}}, func(err error) bool {
			var bad *auth.InputError
			return errors.As(err, &bad) && bad.Invalid["region"] != ""
		}},
		"missing, not to be asked": {auth.ConnectRequest{Connector: "keyed", Account: "a", SkipInput: true}, func(err error) bool {
			var bad *auth.InputError
			return errors.As(err, &bad) && slices.Equal(bad.Missing, []string{"api_key"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := f.URL(t.Context(), row.req); !row.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRedirectURL(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) {
		f.cfg.RedirectOrigins = []string{"https://app.example.com", "http://localhost:3000/"}
	})
	for address, want := range map[string]bool{
		"https://app.example.com/done":               true,
		"https://app.example.com":                    true,
		"https://APP.example.com:443/done?x=1":       true,
		"http://localhost:3000/done":                 true,
		"http://localhost:3001/done":                 false,
		"http://app.example.com/done":                false,
		"https://app.example.com:8443/done":          false,
		"https://app.example.com.evil.com/":          false,
		"https://evil.com/https://app.example.com":   false,
		"https://evil.com\\@app.example.com/":        false,
		"https://app.example.com\\.evil.com/":        false,
		"https://app.example.com@evil.com/":          false,
		"https://user@app.example.com/":              false,
		"https://app.example.com/#x":                 false,
		"https://app.example.com/#":                  false,
		"//app.example.com/":                         false,
		"/done":                                      false,
		"javascript:alert(1)//app.example.com":       false,
		"https:app.example.com/":                     false,
		"https:///app.example.com/":                  false,
		" https://app.example.com/":                  false,
		"https://app.example.com/\r\nLocation: evil": false,
		"https://app.example.com./":                  false,
		"https://sub.app.example.com/":               false,
	} {
		_, _, err := f.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a", RedirectURL: address})
		if want && err != nil || !want && !errors.Is(err, auth.ErrRedirect) {
			t.Errorf("%q: %v", address, err)
		}
	}
	own := setUp(t, func(f *fixture) { f.cfg.RedirectOrigins = nil })
	if _, _, err := own.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a", RedirectURL: "http://127.0.0.1:7777/x"}); err != nil {
		t.Errorf("the origin of PublicURL: %v", err)
	}
}

func TestMultiTenant(t *testing.T) {
	t.Parallel()
	f := setUp(t, func(f *fixture) { f.cfg.DefaultEnvironment = "" })
	_, _, err := f.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a"})
	wantErr(t, err, auth.ErrEnvironment)
	for _, err := range f.Connections(t.Context(), auth.Query{}) {
		wantErr(t, err, auth.ErrEnvironment)
	}
	wantErr(t, f.SetApp(t.Context(), "", "acme", connector.App{ClientID: "x"}), auth.ErrEnvironment)
	if _, _, err := f.URL(t.Context(), auth.ConnectRequest{Connector: "acme", Account: "a", Environment: "env_1"}); err != nil {
		t.Error(err)
	}
}
