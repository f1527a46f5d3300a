package main

import (
	"crypto/subtle"
	"html/template"
	"net/http"
	"strconv"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/trigger"
)

// pageTemplate is the page of the demo: three steps from top to bottom.
var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{if .Waiting}}<meta http-equiv="refresh" content="2">{{end}}
<title>interactor quickstart</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
section { border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: .6rem; padding: .2rem 1.2rem 1rem; margin: 1rem 0; }
h2 { font-size: 1.05rem; margin: .8rem 0 .4rem; }
.button, button { display: inline-block; font: inherit; padding: .45rem 1rem; border-radius: .4rem; border: 0; background: #2557d6; color: #fff; text-decoration: none; cursor: pointer; }
label { display: block; margin: .4rem 0; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .35rem .5rem; }
pre { overflow-x: auto; padding: .6rem; border-radius: .4rem; background: color-mix(in srgb, currentColor 8%, transparent); font-size: .85rem; }
</style>
<h1>interactor quickstart</h1>
<section>
<h2>1. Connect a mailbox</h2>
<p>This is the link that your service would give to its end user <code>{{.Account}}</code>.
{{if .StandIn}}It leads to a stand-in for Google on this machine: choose <code>{{.Mailbox}}</code>.{{end}}</p>
<a class="button" href="/connect-account">Connect Gmail</a>
</section>
<section>
<h2>2. Send a mail</h2>
{{if .StandIn}}
<form method="post" action="/send">
<input type="hidden" name="token" value="{{.Token}}">
<label>Subject <input name="subject" value="Lunch on Friday?" maxlength="200"></label>
<button>Send from {{.Mailbox}} to bob@example.com</button>
</form>
{{else}}<p>Send one from your mailbox. It is asked for news every few seconds.</p>{{end}}
</section>
<section>
<h2>3. See it arrive</h2>
<p>What your server got at its Forwarding URL, verified. It is printed in the terminal, too.</p>
{{range .Events}}<p><strong>{{.Trigger}}</strong> <code>{{.ID}}</code></p><pre>{{printf "%s" .Payload}}</pre>
{{else}}<p>Nothing yet.</p>{{end}}
</section>
</html>
`))

// page serves the demo's own page.
func (d *demo) page() http.Handler {
	token := randomText() // a page elsewhere must not send mails here
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		events, _ := d.receiver.events()
		before, err := strconv.Atoi(r.URL.Query().Get("sent"))
		waiting := err == nil && len(events) <= before
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
		err = pageTemplate.Execute(w, struct {
			Account, Mailbox, Token string
			StandIn, Waiting        bool
			Events                  []trigger.Event
		}{account, mailbox, token, d.google != nil, waiting, events})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /connect-account", func(w http.ResponseWriter, r *http.Request) {
		link, err := d.in.AuthURL(r.Context(), interactor.ConnectRequest{Connector: gmail.Name, Account: account})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, link, http.StatusSeeOther)
	})
	mux.HandleFunc("POST /send", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
		if d.google == nil || subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(token)) != 1 {
			http.Error(w, "open the page again", http.StatusForbidden)
			return
		}
		d.google.Send(gmailtest.Mail{From: mailbox, To: []string{"bob@example.com"}, Subject: r.PostFormValue("subject"), Text: "Sent from the quickstart page."})
		events, _ := d.receiver.events()
		http.Redirect(w, r, "/?sent="+strconv.Itoa(len(events)), http.StatusSeeOther)
	})
	return mux
}
