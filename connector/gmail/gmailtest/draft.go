package gmailtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"slices"
	"strings"
)

const scopeCompose = "https://www.googleapis.com/auth/gmail.compose"

// createDraft is users.drafts.create with a message of plain text.
func (s *Server) createDraft(c call) {
	var in struct {
		Message struct {
			Raw      string `json:"raw"`
			ThreadID string `json:"threadId"`
		} `json:"message"`
	}
	if !slices.ContainsFunc([]string{scopeMail, scopeModify, scopeCompose}, func(scope string) bool { return slices.Contains(c.token.scopes, scope) }) {
		apiError(c.w, http.StatusForbidden, "insufficientPermissions", "Request had insufficient authentication scopes.")
		return
	}
	if err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxRequestBody)).Decode(&in); err != nil {
		apiError(c.w, http.StatusBadRequest, "parseError", "Parse Error")
		return
	}
	raw, err := base64.URLEncoding.DecodeString(in.Message.Raw)
	if err != nil { // Google takes both
		raw, err = base64.RawURLEncoding.DecodeString(in.Message.Raw)
	}
	if err != nil || len(raw) == 0 {
		apiError(c.w, http.StatusBadRequest, "invalidArgument", "'raw' RFC822 payload message string or uploading message via /upload/* URL required")
		return
	}
	m, err := readMail(raw, c.box.address)
	switch {
	case errors.Is(err, errNotPlain):
		apiError(c.w, http.StatusNotImplemented, "notImplemented", err.Error())
		return
	case err != nil:
		apiError(c.w, http.StatusBadRequest, "invalidArgument", "Invalid message: "+err.Error())
		return
	}
	thread := in.Message.ThreadID
	if thread != "" && !c.box.hasThread(thread) {
		apiError(c.w, http.StatusNotFound, "notFound", "Requested entity was not found.")
		return
	}
	var made *message
	if thread == "" {
		made = s.add(c.box, s.letter(m), "DRAFT")
	} else {
		made = s.addTo(c.box, s.letter(m), thread, "DRAFT")
	}
	id := fmt.Sprintf("r-%d", s.next())
	c.box.drafts[id] = made.id
	writeJSON(c.w, http.StatusOK, map[string]any{
		"id": id, "message": map[string]any{"id": made.id, "threadId": made.thread, "labelIds": made.labels},
	})
}

func (m *mailbox) hasThread(id string) bool {
	for _, msg := range m.messages {
		if msg.thread == id {
			return true
		}
	}
	return false
}

var errNotPlain = errors.New("gmailtest takes drafts of plain text only")

// readMail reads what a client wrote (RFC 5322).
func readMail(raw []byte, from string) (Mail, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Mail{}, err
	}
	kind := orElse(msg.Header.Get("Content-Type"), "text/plain")
	if t, _, err := mime.ParseMediaType(kind); err != nil || t != "text/plain" {
		return Mail{}, fmt.Errorf("%w: it is %q", errNotPlain, kind)
	}
	body := msg.Body
	switch strings.ToLower(msg.Header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return Mail{}, err
	}
	words := new(mime.WordDecoder)
	subject, err := words.DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		return Mail{}, err
	}
	out := Mail{From: orElse(msg.Header.Get("From"), from), Subject: subject, Text: string(text), InReplyTo: msg.Header.Get("In-Reply-To")}
	for name, to := range map[string]*[]string{"To": &out.To, "Cc": &out.Cc, "Bcc": &out.Bcc} {
		if msg.Header.Get(name) == "" {
			continue
		}
		list, err := msg.Header.AddressList(name)
		if err != nil {
			return Mail{}, fmt.Errorf("%s: %w", name, err)
		}
		for _, a := range list {
			*to = append(*to, a.String())
		}
	}
	return out, nil
}
