package standin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/internal/standin"
)

// A consent as a person goes through it: a page of ours with a Secure cookie and
// a Continue button, the provider's form, and the end.
func TestBrowse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  http.HandlerFunc
		want string // in the failure; empty: none
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "connected") }, ""},
		{"a page with a form that is not part of it", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `<form method="post" action="/logout"><button>Sign out</button></form>`)
		}, ""},
		{"an error page", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<h1>Not connected</h1><style>x{}</style><p>state expired</p>")
		}, "answered 400: Not connected state expired"},
		{"out of loopback, well", redirectTo("https://app.example.com/done?status=success"), ""},
		{"out of loopback, with an error", redirectTo("https://app.example.com/done?status=error&reason=denied"), "reason=denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var provider *httptest.Server
			mux := http.NewServeMux()
			mux.HandleFunc("GET /connect", func(w http.ResponseWriter, _ *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "__Host-csrf", Value: "c1", Path: "/", HttpOnly: true, Secure: true})
				fmt.Fprint(w, `<form method="get" action="/search"><input name="q"></form>
					<form method="post" action="/connect?id=7"><input type="hidden" name="token" value="t1"><button name="press" value="continue">Continue</button><button name="press" value="cancel">Cancel</button></form>`)
			})
			mux.HandleFunc("POST /connect", func(w http.ResponseWriter, r *http.Request) {
				c, err := r.Cookie("__Host-csrf")
				if err != nil || c.Value != "c1" || r.PostFormValue("token") != "t1" || r.FormValue("id") != "7" || r.PostFormValue("press") != "continue" {
					http.Error(w, "forged", http.StatusForbidden)
					return
				}
				http.Redirect(w, r, provider.URL+"/consent", http.StatusSeeOther)
			})
			mux.HandleFunc("GET /callback", tt.end)
			ours := httptest.NewServer(mux)
			defer ours.Close()
			provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					fmt.Fprint(w, `<form method="post" action="/consent"><input name="email"><input type="checkbox" name="yes" value="1" checked><input type="checkbox" name="no" value="1"></form>`)
					return
				}
				if r.PostFormValue("email") != "alice" || r.PostFormValue("yes") != "1" || r.PostForm.Has("no") || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
					http.Error(w, "not as a person fills it in", http.StatusForbidden)
					return
				}
				http.Redirect(w, r, ours.URL+"/callback", http.StatusSeeOther)
			}))
			defer provider.Close()
			b := standin.Browser{Provider: provider.URL, Fill: func(v url.Values) { v.Set("email", "alice") }}
			end, err := b.Browse(t.Context(), ours.URL+"/connect")
			if err != nil {
				t.Fatal(err)
			}
			if err := end.Failure(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestBrowseGoesNowhereElse(t *testing.T) {
	t.Parallel()
	b := standin.Browser{Provider: "http://127.0.0.1:1", Fill: func(url.Values) {}}
	if _, err := b.Browse(t.Context(), "http://192.0.2.1/"); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Errorf("got %v", err)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "nothing to press") }))
	defer page.Close()
	if _, err := b.Browse(t.Context(), page.URL); err == nil || !strings.Contains(err.Error(), "no form") {
		t.Errorf("got %v", err)
	}
	again := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<form method="post"><button>Again</button></form>`)
	}))
	defer again.Close()
	if _, err := b.Browse(t.Context(), again.URL); err == nil || !strings.Contains(err.Error(), "again and again") {
		t.Errorf("got %v", err)
	}
}

func redirectTo(address string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusSeeOther) }
}
