package jiratest

import (
	"html/template"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	authorizePath = "/authorize"
	codeLifetime  = 5 * time.Minute
)

// knownScopes are the scopes that an app of this stand-in can ask for: the
// classic ones of Jira, those granular ones that a connector needs, and the
// account's own.
func knownScopes() []string {
	return []string{
		"offline_access", "read:me", "read:account",
		"read:jira-work", "write:jira-work", "read:jira-user", "manage:jira-webhook", "manage:jira-project", "manage:jira-configuration",
		"read:field:jira", "read:project:jira", "read:issue:jira", "read:issue-details:jira", "read:comment:jira", "read:user:jira",
		"read:jql:jira", "read:webhook:jira", "write:webhook:jira", "delete:webhook:jira", "write:issue:jira", "write:comment:jira",
		"read:sprint:jira-software", "read:board-scope:jira-software", "read:confluence-content.all",
	}
}

// showConsent is the authorization endpoint: one page that stands for
// Atlassian's login, site chooser and consent screen.
func (s *Server) showConsent(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	req, refusal := s.authRequest(q)
	if refusal != "" {
		refuse(w, refusal)
		return
	}
	id := secret("")
	s.requests[id] = req
	known := make([]string, 0, len(s.people))
	for _, p := range s.people {
		known = append(known, p.email)
	}
	slices.Sort(known)
	page(w, http.StatusOK, consentPage, map[string]any{
		"ID": id, "Client": req.client.id, "Scopes": req.scopes, "Known": known, "Sites": s.sites,
	})
}

// authRequest reads what an app asks for. The refusal is for the person: the
// app hears nothing of it. s.mu is held.
func (s *Server) authRequest(q url.Values) (req *authRequest, refusal string) {
	req = &authRequest{
		client: s.clients[q.Get("client_id")], redirect: q.Get("redirect_uri"), state: q.Get("state"),
		scopes: strings.Fields(q.Get("scope")), challenge: q.Get("code_challenge"),
	}
	method := q.Get("code_challenge_method")
	switch {
	case q.Get("audience") != "api.atlassian.com":
		return nil, "audience must be api.atlassian.com"
	case req.client == nil:
		return nil, "client_id is invalid: there is no such app"
	case !req.client.allows(req.redirect):
		return nil, "redirect_uri is not registered for client: " + req.redirect
	case q.Get("response_type") != "code":
		return nil, "response_type must be code"
	case q.Get("prompt") != "consent":
		return nil, "prompt must be consent"
	case len(req.scopes) == 0:
		return nil, "scope must not be empty"
	case req.challenge != "" && method != "S256", req.challenge == "" && method != "":
		return nil, "code_challenge needs code_challenge_method S256"
	}
	permitted := req.client.scopes
	if permitted == nil {
		permitted = knownScopes()
	}
	for _, scope := range req.scopes {
		// offline_access is no permission of the console.
		if scope != "offline_access" && !slices.Contains(permitted, scope) {
			return nil, "scope " + scope + " is not among the app's permissions"
		}
	}
	return req, ""
}

// decide is where the consent page's buttons lead.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		refuse(w, "the form cannot be read")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.PostForm.Get("request")
	req := s.requests[id]
	if req == nil {
		refuse(w, "this page was already used; start again")
		return
	}
	if r.PostForm.Get("decision") != "allow" {
		delete(s.requests, id)
		req.goBack(w, r, url.Values{"error": {"access_denied"}, "error_description": {"User did not authorize the request"}})
		return
	}
	addr, err := mail.ParseAddress(r.PostForm.Get("email"))
	if err != nil {
		refuse(w, "enter a mail address, such as alice@example.com; go back and try again")
		return
	}
	var sites []*Site
	for _, site := range s.sites {
		if slices.Contains(r.PostForm["site"], site.cloud) {
			sites = append(sites, site)
		}
	}
	if len(sites) == 0 {
		refuse(w, "choose a site; go back and try again")
		return
	}
	delete(s.requests, id)
	code := secret("")
	s.codes[code] = &authCode{request: req, grant: s.agree(req, s.person(addr.Address), sites), expires: s.now().Add(codeLifetime)}
	req.goBack(w, r, url.Values{"code": {code}})
}

// agree adds a consent to the grant of the person and the app. s.mu is held.
func (s *Server) agree(req *authRequest, p *person, sites []*Site) *grant {
	key := grantKey{req.client.id, p.key}
	g := s.grants[key]
	if g == nil {
		g = &grant{key: key, client: req.client, person: p}
		s.grants[key] = g
	}
	g.sites, g.scopes = union(g.sites, sites), union(g.scopes, req.scopes)
	delete(s.revoked, p.key)
	return g
}

// goBack redirects to the app.
func (a *authRequest) goBack(w http.ResponseWriter, r *http.Request, v url.Values) {
	u, err := url.Parse(a.redirect)
	if err != nil {
		refuse(w, "redirect_uri: "+err.Error())
		return
	}
	q := u.Query()
	for k := range v {
		q.Set(k, v.Get(k))
	}
	if a.state != "" {
		q.Set("state", a.state)
	}
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// refuse shows an error to the person; the app hears nothing.
func refuse(w http.ResponseWriter, text string) {
	page(w, http.StatusBadRequest, refusedPage, map[string]any{"Text": text})
}

func page(w http.ResponseWriter, status int, body string, data any) {
	t, err := template.New("page").Parse(pageHead + body + pageFoot)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_ = t.Execute(w, data) // the browser has gone: nobody to tell
}

const pageHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stand-in for Atlassian</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;background:#f7f8f9;color:#172b4d;margin:0}
main{max-width:30rem;margin:6vh auto;background:#fff;border:1px solid #dcdfe4;border-radius:.5rem;padding:2rem}
h1{font-size:1.5rem;font-weight:600;margin:.25rem 0 1rem}
.note{color:#44546f;font-size:.875rem;margin:0}
label{display:block;margin:.5rem 0}
input[type=email]{box-sizing:border-box;width:100%;font:inherit;padding:.6rem .75rem;border:1px solid #738496;border-radius:.25rem}
fieldset{border:1px solid #dcdfe4;border-radius:.25rem;margin:1.25rem 0;overflow-wrap:anywhere}
.buttons{display:flex;gap:.75rem;justify-content:flex-end}
button{font:inherit;padding:.5rem 1.5rem;border-radius:.25rem;border:1px solid #738496;background:#fff;color:#0c66e4;cursor:pointer}
button[value=allow]{background:#0c66e4;border-color:#0c66e4;color:#fff}
</style>
</head>
<body><main>
<p class="note">Stand-in for Atlassian. Nothing here leaves this machine.</p>
`

const pageFoot = `
</main></body>
</html>
`

const consentPage = `<h1>{{.Client}} is requesting access</h1>
<form method="post" action="` + authorizePath + `">
<input type="hidden" name="request" value="{{.ID}}">
<label for="email">Your account (a new one is made when there is none)</label>
<input id="email" type="email" name="email" list="known" required autofocus placeholder="alice@example.com">
<datalist id="known">{{range .Known}}<option value="{{.}}">{{end}}</datalist>
<fieldset><legend>Use app on</legend>
{{range .Sites}}<label><input type="checkbox" name="site" value="{{.CloudID}}" checked> {{.URL}}</label>
{{else}}<p>There is no site yet.</p>
{{end}}</fieldset>
<fieldset><legend>It would like to</legend>
<ul>{{range .Scopes}}<li>{{.}}</li>
{{end}}</ul></fieldset>
<div class="buttons">
<button type="submit" name="decision" value="deny" formnovalidate>Cancel</button>
<button type="submit" name="decision" value="allow">Accept</button>
</div>
</form>`

const refusedPage = `<h1>Something went wrong</h1>
<p>{{.Text}}</p>`
