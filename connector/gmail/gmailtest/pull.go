package gmailtest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector/gmail"
)

const (
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer" // RFC 7523
	scopePubSub    = "https://www.googleapis.com/auth/pubsub"
	ackDeadline    = 10 * time.Second
	longPoll       = 20 * time.Second // how long a pull without messages is held
	pullAction     = "POST /v1/projects/{project}/subscriptions/{action}"
)

// queue is a project's pull subscription.
type queue struct {
	reader   string // service account that may read
	key      func() *rsa.PrivateKey
	tokens   map[string]time.Time // access tokens of the reader
	messages []*queued
	news     chan struct{} // closed when there is a message
	deadline time.Duration
	pulled   int // messages given out, again ones included
	acked    int
}

type queued struct {
	message json.RawMessage
	ack     string // of the last time it was given out
	until   time.Time
}

// PullConfig is Config for pull mode: the default project gets a pull
// subscription, which keeps what is published from then on.
func (s *Server) PullConfig() gmail.Config {
	cfg := s.Config()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[defaultProject]
	s.addQueue(p)
	cfg.Mode, cfg.PushAudience, cfg.PushServiceAccount = gmail.Pull, "", ""
	cfg.Subscription, cfg.ServiceAccountKey, cfg.PubSub = p.pullSubscription(), s.keyFile(p), s.URL+"/"
	cfg.HTTPClient = &http.Client{Transport: s.pusher.Transport, Timeout: 10 * time.Second}
	return cfg
}

// AddPull gives the project of another client a pull subscription, and returns
// the client as an App of connector gmail in pull mode.
func (s *Server) AddPull(clientID string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.clients[clientID].project
	s.addQueue(p)
	return map[string]string{
		gmail.FieldTopic: p.topic(), gmail.FieldSubscription: p.pullSubscription(), gmail.FieldServiceAccountKey: s.keyFile(p),
	}
}

// SetAckDeadline sets after what time a message that was pulled and not
// acknowledged is given out again. Defaults to 10 s, as Google's.
func (s *Server) SetAckDeadline(d time.Duration) {
	s.set(func() {
		for _, p := range s.projects {
			if p.queue != nil {
				p.queue.deadline = d
			}
		}
	})
}

// Pulls tells of the default project's pull subscription: messages given out,
// those given out again included, messages acknowledged, and those that wait.
func (s *Server) Pulls() (pulled, acknowledged, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.projects[defaultProject].queue
	if q == nil {
		return 0, 0, 0
	}
	return q.pulled, q.acked, len(q.messages)
}

func (p *project) pullSubscription() string {
	return "projects/" + p.name + "/subscriptions/gmail-pull"
}

func (s *Server) addQueue(p *project) {
	if p.queue == nil {
		p.queue = &queue{
			reader: "reader@" + p.name + ".iam.gserviceaccount.com", key: s.key,
			tokens: map[string]time.Time{}, news: make(chan struct{}), deadline: ackDeadline,
		}
	}
}

// keyFile is the JSON key of the reader, as the Google Cloud console makes it.
func (s *Server) keyFile(p *project) string {
	der, err := x509.MarshalPKCS8PrivateKey(p.queue.key())
	if err != nil {
		panic(fmt.Sprintf("gmailtest: encoding a key: %v", err)) // RSA keys encode
	}
	b, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": p.name, "private_key_id": keyID,
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": p.queue.reader, "client_id": "113774264463038321964",
		"auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
	}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("gmailtest: encoding a key: %v", err)) // texts encode
	}
	return string(b)
}

// enqueue keeps a published message for the pull subscription. s.mu is held.
func (p *project) enqueue(body []byte) {
	if p.queue == nil {
		return
	}
	var push struct {
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(body, &push) != nil || push.Message == nil { // unwrapped: only pushes can be
		push.Message = mustJSON(map[string]string{"data": base64.StdEncoding.EncodeToString(body), "messageId": "1"})
	}
	p.queue.messages = append(p.queue.messages, &queued{message: push.Message})
	close(p.queue.news)
	p.queue.news = make(chan struct{})
}

// assert answers a signed assertion of a service account with a token (RFC 7523). s.mu is held.
func (s *Server) assert(w http.ResponseWriter, form url.Values) {
	part := strings.Split(form.Get("assertion"), ".")
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Scope    string `json:"scope"`
		Expires  int64  `json:"exp"`
	}
	if len(part) == 3 {
		b, err := base64.RawURLEncoding.DecodeString(part[1])
		if err == nil {
			_ = json.Unmarshal(b, &claims) // what is missing is refused below
		}
	}
	for _, p := range s.projects {
		if p.queue == nil || p.queue.reader != claims.Issuer {
			continue
		}
		sum := sha256.Sum256([]byte(part[0] + "." + part[1]))
		sig, err := base64.RawURLEncoding.DecodeString(part[2])
		if err != nil || rsa.VerifyPKCS1v15(&p.queue.key().PublicKey, crypto.SHA256, sum[:], sig) != nil {
			oauthError(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT Signature.")
			return
		}
		switch {
		case claims.Audience != s.URL+tokenPath:
			oauthError(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: Failed audience check.")
			return
		case !slices.Contains(strings.Fields(claims.Scope), scopePubSub):
			oauthError(w, http.StatusBadRequest, "invalid_scope", claims.Scope+" is not a valid audience string.")
			return
		case !s.now().Before(time.Unix(claims.Expires, 0)):
			oauthError(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: Token must be a short-lived token.")
			return
		}
		t := secret("ya29.c")
		p.queue.tokens[t] = s.now().Add(s.lifetime)
		writeJSON(w, http.StatusOK, map[string]any{"access_token": t, "expires_in": int(s.lifetime / time.Second), "token_type": "Bearer"})
		return
	}
	oauthError(w, http.StatusBadRequest, "invalid_grant", "Invalid grant: account not found")
}

// pullAPI is projects.subscriptions.pull and acknowledge.
func (s *Server) pullAPI(w http.ResponseWriter, r *http.Request) {
	name, method, _ := strings.Cut(r.PathValue("action"), ":")
	var in struct {
		Max    int      `json:"maxMessages"`
		AckIDs []string `json:"ackIds"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBody)).Decode(&in); err != nil {
		apiError(w, http.StatusBadRequest, "badRequest", "Invalid JSON payload received.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[r.PathValue("project")]
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case p == nil || p.queue == nil || p.pullSubscription() != "projects/"+p.name+"/subscriptions/"+name:
		apiError(w, http.StatusNotFound, "notFound", "Resource not found (resource="+name+").")
		return
	case !s.now().Before(p.queue.tokens[bearer]):
		apiError(w, http.StatusUnauthorized, "authError", "Request had invalid authentication credentials.")
		return
	case s.faulty(w, method):
		return
	}
	q := p.queue
	switch method {
	case "pull":
		if in.Max <= 0 {
			apiError(w, http.StatusBadRequest, "badRequest", "You have passed an invalid argument to the service (argument=max_messages).")
			return
		}
		s.wait(r, q)
		writeJSON(w, http.StatusOK, q.give(s, in.Max))
	case "acknowledge":
		for _, id := range in.AckIDs {
			q.messages = slices.DeleteFunc(q.messages, func(m *queued) bool {
				if m.ack != id {
					return false
				}
				q.acked++
				return true
			})
		}
		writeJSON(w, http.StatusOK, map[string]any{})
	default:
		apiError(w, http.StatusNotFound, "notFound", "There is no method "+method)
	}
}

// wait holds a pull until there is a message. s.mu is held, and let go meanwhile.
func (s *Server) wait(r *http.Request, q *queue) {
	end := time.NewTimer(longPoll)
	defer end.Stop()
	for {
		next := time.Duration(-1)
		for _, m := range q.messages {
			if d := m.until.Sub(s.now()); d <= 0 {
				return
			} else if next < 0 || d < next {
				next = d
			}
		}
		var again <-chan time.Time
		if next >= 0 {
			t := time.NewTimer(next)
			defer t.Stop()
			again = t.C
		}
		news := q.news
		s.mu.Unlock()
		over := false
		select {
		case <-news:
		case <-again:
		case <-end.C:
			over = true
		case <-r.Context().Done():
			over = true
		case <-s.ctx.Done():
			over = true
		}
		s.mu.Lock()
		if over {
			return
		}
	}
}

// give hands messages out. s.mu is held.
func (q *queue) give(s *Server, most int) any {
	type received struct {
		AckID   string          `json:"ackId"`
		Message json.RawMessage `json:"message"`
	}
	out := struct {
		Messages []received `json:"receivedMessages,omitempty"`
	}{}
	for _, m := range q.messages {
		if len(out.Messages) == most {
			break
		}
		if s.now().Before(m.until) {
			continue
		}
		m.ack, m.until = secret("ack-"), s.now().Add(q.deadline)
		q.pulled++
		out.Messages = append(out.Messages, received{m.ack, m.message})
	}
	return out
}
