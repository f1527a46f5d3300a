package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/auth"
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
<link rel="icon" href="data:,">
<title>interactor quickstart</title>
<style>
:root { color-scheme: light dark; --bg: #eef0f4; --card: #fff; --text: #14171f; --soft: #5a6272; --line: #dfe3ea; --accent: #2b59e0; --on: #fff; --good: #16794c; --bad: #b3261e; font: 16px/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --bg: #0e1014; --card: #181b21; --text: #eef0f4; --soft: #a2aab8; --line: #2c313b; --accent: #84a3ff; --on: #0b1433; --good: #5fd39b; --bad: #ff9c94; } }
body { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem; background: var(--bg); color: var(--text); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; }
.lead { margin: .3rem 0 1.5rem; color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .9rem; padding: 1.2rem 1.4rem 1.4rem; margin: 1rem 0; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
p { margin: 0 0 .9rem; }
section > :last-child { margin-bottom: 0; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.soft { color: var(--soft); }
a { color: var(--accent); }
.button, button { display: inline-block; font: inherit; font-weight: 600; padding: .6rem 1.1rem; border-radius: .6rem; border: 0; background: var(--accent); color: var(--on); text-decoration: none; cursor: pointer; }
button:disabled { background: var(--line); color: var(--soft); cursor: not-allowed; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
label { display: block; margin: 0 0 .9rem; color: var(--soft); }
input { display: block; font: inherit; color: var(--text); background: var(--card); width: 100%; box-sizing: border-box; margin-top: .3rem; padding: .55rem .7rem; border: 1px solid var(--soft); border-radius: .6rem; }
pre { white-space: pre-wrap; margin: .3rem 0 1.2rem; padding: .8rem 1rem; border-radius: .6rem; background: var(--bg); font-size: .85rem; }
</style>
<h1>interactor quickstart</h1>
<p class="lead">Your service “Acme”, {{if .StandIn}}a stand-in for Google, {{end}}and your server: all on this machine.</p>
<section>
<h2>1. Connect a mailbox</h2>
{{with .Failed}}<p class="bad">Not connected: <code>{{.}}</code>. Try again.</p>{{end}}
{{if .Connected}}<p class="good">✓ {{.Connected}} is connected for <code>{{.Account}}</code>.</p>
<a href="/connect-account">Connect again</a>
{{else}}<p>This is the link that your service would give to its end user <code>{{.Account}}</code>.
{{if .StandIn}}It leads to a stand-in for Google: allow access to <code>{{.Mailbox}}</code> there.{{end}}</p>
<a class="button" href="/connect-account">Connect Gmail</a>{{end}}
</section>
<section>
<h2>2. Send a mail</h2>
{{if .StandIn}}<form method="post" action="/send">
<input type="hidden" name="token" value="{{.Token}}">
<label>Subject <input name="subject" value="Lunch on Friday?" maxlength="200"></label>
<button{{if not .Connected}} disabled{{end}}>Send from {{.Mailbox}} to bob@example.com</button>
</form>
{{else}}<p>Send one from your mailbox. It is asked for news every few seconds.</p>{{end}}
</section>
<section>
<h2>3. See it arrive</h2>
<p>What your server got at its Forwarding URL, verified. It is printed in the terminal, too.</p>
{{range .Events}}<p><strong>{{.Trigger}}</strong><br><code class="soft">{{.ID}}</code></p><pre>{{.Payload}}</pre>
{{else}}<p class="soft">{{if .Waiting}}On its way …{{else}}Nothing yet.{{end}}</p>{{end}}
</section>
</html>
`))

type pageData struct {
	Account, Mailbox, Token string
	Connected               string // mailboxes; empty before consent
	Failed                  string // why the last consent came to nothing
	StandIn, Waiting        bool
	Events                  []arrived
}

// arrived is an event as the page shows it.
type arrived struct{ Trigger, ID, Payload string }

// readable is the newest first, the payload indented.
func readable(events []trigger.Event) (list []arrived) {
	for _, ev := range slices.Backward(events) {
		var b bytes.Buffer
		if err := json.Indent(&b, ev.Payload, "", "  "); err != nil {
			b.Reset()
			b.Write(ev.Payload)
		}
		list = append(list, arrived{ev.Trigger, ev.ID, b.String()})
	}
	return list
}

// connected names the mailboxes that the end user has connected.
func (d *demo) connected(ctx context.Context) string {
	var names []string
	for c, err := range d.in.Auth.Connections(ctx, auth.Query{Connector: gmail.Name, Account: account, Status: auth.Active}) {
		if err != nil {
			fmt.Fprintln(d.out, "connections:", err)
			return ""
		}
		names = append(names, c.Identity)
	}
	return strings.Join(names, ", ")
}

// connectRequest is what a service would ask for, from its own page.
func (d *demo) connectRequest() interactor.ConnectRequest {
	req := interactor.ConnectRequest{Connector: gmail.Name, Account: account, RedirectURL: d.url + "/"}
	if d.google != nil {
		req.LoginHint = mailbox
	}
	return req
}

// page serves the demo's own page.
func (d *demo) page() http.Handler {
	token := randomText() // a page elsewhere must not send mails here
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		events, _ := d.receiver.events()
		before, err := strconv.Atoi(r.URL.Query().Get("sent"))
		waiting := err == nil && len(events) <= before
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
		err = pageTemplate.Execute(w, pageData{
			Account: account, Mailbox: mailbox, Token: token, Connected: d.connected(r.Context()), Failed: r.URL.Query().Get("error"),
			StandIn: d.google != nil, Waiting: waiting || d.google == nil, Events: readable(events),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /connect-account", func(w http.ResponseWriter, r *http.Request) {
		link, err := d.in.AuthURL(r.Context(), d.connectRequest())
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
