package gmailtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Consent plays the user's browser: it opens an address from AuthURL, presses
// Continue where such a page is shown, signs in to the mailbox (created when it
// is new), agrees to everything, and follows the redirects to the end. The error
// says what the last page said if that is an error page, or a redirectUrl
// called with status=error. Pages outside loopback are not opened.
func (s *Server) Consent(ctx context.Context, authURL, mailbox string) error {
	end, err := s.browse(ctx, authURL, "allow", mailbox)
	if err != nil {
		return err
	}
	return end.failure()
}

// Deny plays a user who presses Deny on Google's page. Its error says that the
// browser did not get through; that the last page reports the refusal is none.
func (s *Server) Deny(ctx context.Context, authURL, mailbox string) error {
	_, err := s.browse(ctx, authURL, "deny", mailbox)
	return err
}

// view is the page that a browser shows.
type view struct {
	at     *url.URL
	status int
	body   []byte
}

func (v *view) failure() error {
	if v.status >= 400 {
		return fmt.Errorf("gmailtest: %s://%s%s answered %d: %s", v.at.Scheme, v.at.Host, v.at.Path, v.status, visibleText(v.body))
	}
	if q := v.at.Query(); q.Get("status") == "error" {
		return fmt.Errorf("gmailtest: sent back to %s%s with an error: %s", v.at.Host, v.at.Path, q.Encode())
	}
	return nil
}

// browse opens a page and submits forms until a page has none.
func (s *Server) browse(ctx context.Context, address, decision, mailbox string) (*view, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := s.client()
	defer client.CloseIdleConnections()
	client.Jar = trusting{jar}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("gmailtest: redirected 10 times")
		}
		if !loopbackHost(r.URL.Hostname()) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("gmailtest: opening the authorization address: %w", err)
	}
	agreed := false
	for range 5 {
		v, err := open(client, req)
		if err != nil {
			return nil, err
		}
		ours := v.at.Scheme+"://"+v.at.Host == s.URL
		if agreed && !ours || v.status >= 400 {
			return v, nil // the callback's page, or what it redirects to: a form there is not part of the consent
		}
		f, ok := firstForm(v.body)
		if !ok {
			return nil, fmt.Errorf("gmailtest: %s%s has no form to go on with: %s", v.at.Host, v.at.Path, visibleText(v.body))
		}
		if ours {
			f.values.Set("mailbox", mailbox)
			f.values.Set("decision", decision)
			agreed = true
		}
		target, err := v.at.Parse(f.action)
		if err != nil {
			return nil, fmt.Errorf("gmailtest: form of %s: %w", v.at.Path, err)
		}
		if req, err = http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(f.values.Encode())); err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.at.Scheme+"://"+v.at.Host)
		req.Header.Set("Referer", v.at.Scheme+"://"+v.at.Host+v.at.Path)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return nil, errors.New("gmailtest: pages ask again and again")
}

// trusting keeps Secure cookies of http pages too: every address that this
// browser opens is loopback, which browsers trust like https.
type trusting struct{ http.CookieJar }

// SetCookies implements http.CookieJar.
func (j trusting) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(secured(u), cookies)
}

// Cookies implements http.CookieJar.
func (j trusting) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(secured(u)) }

func secured(u *url.URL) *url.URL {
	https := *u
	https.Scheme = "https"
	return &https
}

func open(client *http.Client, req *http.Request) (*view, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("gmailtest: browsing: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("gmailtest: browsing: %w", err)
	}
	v := &view{at: resp.Request.URL, status: resp.StatusCode, body: body}
	if to, err := resp.Location(); err == nil { // a redirect out of loopback: where it leads is what counts
		v.at = to
	}
	return v, nil
}

type form struct {
	action string
	values url.Values
}

// firstForm finds the first form that is sent by POST, filled as it is shown.
func firstForm(page []byte) (form, bool) {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return form{}, false
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || !strings.EqualFold(attribute(n, "method"), "post") {
			continue
		}
		f := form{action: attribute(n, "action"), values: url.Values{}}
		for in := range n.Descendants() {
			name := attribute(in, "name")
			if in.Type != html.ElementNode || name == "" || in.Data != "input" && in.Data != "button" {
				continue
			}
			switch kind := strings.ToLower(attribute(in, "type")); {
			case in.Data == "button" || kind == "submit":
				if !f.values.Has(name) { // the first button is the one pressed
					f.values.Set(name, attribute(in, "value"))
				}
			case (kind == "checkbox" || kind == "radio") && !has(in, "checked"):
			default:
				f.values.Add(name, attribute(in, "value"))
			}
		}
		return f, true
	}
	return form{}, false
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

// visibleText is what a person reads on a page, shortened for an error message.
func visibleText(page []byte) string {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return "unreadable"
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent != nil && n.Parent.Data != "style" && n.Parent.Data != "script" {
			b.WriteString(n.Data)
			b.WriteByte(' ')
		}
	}
	text := []rune(strings.Join(strings.Fields(b.String()), " "))
	if len(text) > 300 {
		text = append(text[:300], '…')
	}
	return string(text)
}
