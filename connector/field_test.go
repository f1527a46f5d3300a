package connector_test

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
)

func TestCheckFields(t *testing.T) {
	t.Parallel()
	fields := []connector.Field{
		{Name: "shop", Label: "Your shop", Pattern: `[a-z]+`},
		{Name: "region", Label: "Region", Options: []string{"eu", "us"}, Default: "us"},
		{Name: "key", Label: "Key", Pattern: `.{16,}`, Secret: true, Optional: true},
	}
	for _, c := range []struct {
		name    string
		entered map[string]string
		want    map[string]string
		err     []string
	}{
		{"all", map[string]string{"shop": "a", "region": "eu", "key": "0123456789abcdef"}, map[string]string{"shop": "a", "region": "eu", "key": "0123456789abcdef"}, nil},
		{"default and optional", map[string]string{"shop": "a"}, map[string]string{"shop": "a", "region": "us"}, nil},
		{"all wrong", map[string]string{"region": "cn", "key": "hunter2", "more": "x"}, nil,
			[]string{"shop is missing: Your shop", `region: "cn" is none of eu, us`, "key: what was entered does not fit", `"more" is unknown: there are shop, region, key`}},
		{"the pattern matches it all", map[string]string{"shop": "a\n"}, nil, []string{"shop"}},
		{"the pattern is not undone by an alternative", map[string]string{"shop": "a.example/"}, nil, []string{"shop"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := connector.CheckFields(fields, c.entered)
			if !maps.Equal(got, c.want) || (err == nil) != (c.err == nil) {
				t.Fatalf("got %v, %v", got, err)
			}
			for _, w := range c.err {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("want %q in %v", w, err)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	if err := (connector.Field{Name: "x", Pattern: "a|b"}).Check("ax"); err == nil {
		t.Error("an alternative is not held to the whole value")
	}
	if err := (connector.Field{Name: "x"}).Check("a\r\nb"); err == nil {
		t.Error("two lines where one is expected")
	}
}

func TestWithEndpoints(t *testing.T) {
	t.Parallel()
	before := description()
	before.OAuth.Refresh = &connector.Request{URL: "https://x.example/refresh", Encoding: connector.JSON}
	before.OAuth.Revoke = &connector.Request{URL: "https://x.example/revoke"}
	untouched := description()
	untouched.OAuth.Refresh, untouched.OAuth.Revoke = before.OAuth.Refresh, before.OAuth.Revoke
	d := before.WithEndpoints(connector.Endpoints{Authorize: "http://a", Token: "http://t", Revoke: "http://r", API: "http://api"})
	got := strings.TrimSpace(fmt.Sprintln(d.OAuth.Authorize, d.OAuth.Token.URL, d.OAuth.Refresh.URL, d.OAuth.Revoke.URL, d.Endpoints["api"], d.OAuth.Refresh.Encoding))
	if got != strings.Join([]string{"http://a", "http://t", "http://t", "http://r", "http://api", "1"}, " ") {
		t.Errorf("got %s", got)
	}
	if !reflect.DeepEqual(before, untouched) || before.OAuth.Refresh.URL != "https://x.example/refresh" {
		t.Error("the receiver changed")
	}
	if !reflect.DeepEqual(before.WithEndpoints(connector.Endpoints{}), before) {
		t.Error("nothing to replace replaced something")
	}
	none := connector.Description{Name: "x"}.WithEndpoints(connector.Endpoints{API: "http://api", Token: "http://t"})
	if none.OAuth != nil || none.Endpoints["api"] != "http://api" {
		t.Errorf("got %+v", none)
	}
}

func TestAppHidesItself(t *testing.T) {
	t.Parallel()
	app := connector.App{ClientID: "id", ClientSecret: "hunter2", Fields: map[string]string{"url": "u"}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, app); strings.Contains(s, "hunter2") {
			t.Errorf("%s shows %s", format, s)
		}
	}
	if got := app.Placeholders(); got["app.url"] != "u" || got["app.client_id"] != "id" || len(got) != 3 {
		t.Errorf("got %v", got)
	}
}
