package gmailtest

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
	authorizePath = "/o/oauth2/v2/auth"
	codeLifetime  = 10 * time.Minute
)

// showConsent is the authorization endpoint: one page that stands for Google's
// account chooser and consent screens.
func (s *Server) showConsent(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[q.Get("client_id")]
	redirect := q.Get("redirect_uri")
	// Who asks and where to go back to come first: an error about them must not
	// be sent to an address that nobody registered.
	switch {
	case c == nil:
		s.refuse(w, http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
		return
	case !c.allows(redirect):
		s.refuse(w, http.StatusBadRequest, "redirect_uri_mismatch",
			"The redirect URI in the request, "+redirect+", does not match the ones authorized for the OAuth client.")
		return
	}
	req := &authRequest{
		client: c, redirect: redirect, state: q.Get("state"),
		scopes:      strings.Fields(q.Get("scope")),
		challenge:   q.Get("code_challenge"),
		offline:     q.Get("access_type") == "offline",
		consent:     slices.Contains(strings.Fields(q.Get("prompt")), "consent"),
		incremental: q.Get("include_granted_scopes") == "true",
		nonce:       q.Get("nonce"),
	}
	method := q.Get("code_challenge_method")
	switch {
	case q.Get("response_type") != "code":
		s.refuse(w, http.StatusBadRequest, "unsupported_response_type", "response_type must be code.")
		return
	case len(req.scopes) == 0:
		s.refuse(w, http.StatusBadRequest, "invalid_request", "Missing required parameter: scope")
		return
	case req.challenge != "" && method != "S256":
		s.refuse(w, http.StatusBadRequest, "invalid_request", "code_challenge_method must be S256.")
		return
	case req.challenge == "" && method != "":
		s.refuse(w, http.StatusBadRequest, "invalid_request", "Missing required parameter: code_challenge")
		return
	}
	id := secret("")
	s.requests[id] = req
	known := make([]string, 0, len(s.mailboxes))
	for _, m := range s.mailboxes {
		known = append(known, m.address)
	}
	slices.Sort(known)
	page(w, http.StatusOK, consentPage, map[string]any{
		"ID": id, "Client": c.id, "Scopes": req.scopes, "Known": known, "Hint": q.Get("login_hint"),
	})
}

// decide is where the consent page's buttons lead.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		s.refuse(w, http.StatusBadRequest, "invalid_request", "The form cannot be read.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	req := s.requests[r.PostForm.Get("request")]
	if req == nil {
		s.refuse(w, http.StatusBadRequest, "invalid_request", "This page was already used; start again.")
		return
	}
	if r.PostForm.Get("decision") != "allow" {
		delete(s.requests, r.PostForm.Get("request"))
		req.goBack(w, r, url.Values{"error": {"access_denied"}})
		return
	}
	addr, err := mail.ParseAddress(r.PostForm.Get("mailbox"))
	if err != nil {
		s.refuse(w, http.StatusBadRequest, "invalid_request", "Enter a mail address, such as alice@example.com. Go back and try again.")
		return
	}
	// People may leave scopes out, one by one.
	var agreed []string
	for _, scope := range req.scopes {
		if slices.Contains(r.PostForm["scope"], scope) {
			agreed = append(agreed, scope)
		}
	}
	delete(s.requests, r.PostForm.Get("request"))
	if len(agreed) == 0 {
		req.goBack(w, r, url.Values{"error": {"access_denied"}})
		return
	}
	code := secret("4/0A")
	s.codes[code] = &authCode{
		request: req, mailbox: s.mailbox(addr.Address), scopes: agreed, expires: s.now().Add(codeLifetime),
	}
	req.goBack(w, r, url.Values{"code": {code}, "scope": {strings.Join(agreed, " ")}, "authuser": {"0"}, "prompt": {"consent"}})
}

// goBack redirects to the client.
func (a *authRequest) goBack(w http.ResponseWriter, r *http.Request, v url.Values) {
	u, err := url.Parse(a.redirect)
	if err != nil {
		http.Error(w, "redirect_uri: "+err.Error(), http.StatusBadRequest)
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

// refuse shows an error to the person; the client hears nothing.
func (s *Server) refuse(w http.ResponseWriter, status int, code, text string) {
	page(w, status, refusedPage, map[string]any{"Status": status, "Code": code, "Text": text})
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
<title>Stand-in for Google</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;background:#f0f4f9;color:#1f1f1f;margin:0}
main{max-width:30rem;margin:6vh auto;background:#fff;border-radius:1.25rem;padding:2rem}
h1{font-size:1.5rem;font-weight:500;margin:.25rem 0 1rem}
.note{color:#575b5f;font-size:.875rem;margin:0}
label{display:block;margin:.5rem 0}
input[type=email]{box-sizing:border-box;width:100%;font:inherit;padding:.6rem .75rem;border:1px solid #747775;border-radius:.5rem}
fieldset{border:1px solid #dadce0;border-radius:.75rem;margin:1.25rem 0;overflow-wrap:anywhere}
.buttons{display:flex;gap:.75rem;justify-content:flex-end}
button{font:inherit;padding:.5rem 1.5rem;border-radius:2rem;border:1px solid #747775;background:#fff;color:#0b57d0;cursor:pointer}
button[value=allow]{background:#0b57d0;border-color:#0b57d0;color:#fff}
</style>
</head>
<body><main>
<p class="note">Stand-in for Google. Nothing here leaves this machine.</p>
`

const pageFoot = `
</main></body>
</html>
`

const consentPage = `<h1>Sign in and allow access</h1>
<p>{{.Client}} wants to access your account.</p>
<form method="post" action="` + authorizePath + `">
<input type="hidden" name="request" value="{{.ID}}">
<label for="mailbox">Mailbox (a new one is made when there is none)</label>
<input id="mailbox" type="email" name="mailbox" list="known" required autofocus value="{{.Hint}}" placeholder="alice@example.com">
<datalist id="known">{{range .Known}}<option value="{{.}}">{{end}}</datalist>
<fieldset><legend>It will be able to</legend>
{{range .Scopes}}<label><input type="checkbox" name="scope" value="{{.}}" checked> {{.}}</label>
{{end}}</fieldset>
<div class="buttons">
<button type="submit" name="decision" value="deny" formnovalidate>Deny</button>
<button type="submit" name="decision" value="allow">Allow</button>
</div>
</form>`

const refusedPage = `<h1>Access blocked</h1>
<p>{{.Text}}</p>
<p class="note">Error {{.Status}}: {{.Code}}</p>`
