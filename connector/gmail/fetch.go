package gmail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	gmailapi "google.golang.org/api/gmail/v1"

	"github.com/interactorhq/interactor/connector"
)

const (
	defaultAPI = "https://gmail.googleapis.com/"
	// A mail has 25 MB at most when it is sent and 50 MB when it arrives.
	defaultMaxFile = 50 << 20
)

// ErrTooLarge says that a file has more bytes than the caller takes.
var ErrTooLarge = errors.New("gmail: the file is larger than allowed")

// FetchRequest names a file of a message.
type FetchRequest struct {
	// Client is authorised as the connection that the message came from, as
	// Interactor.Client returns it. Required.
	Client *http.Client

	MessageID  string     // Email.ID. Required
	Attachment Attachment // one of Email.Attachments. Required

	MaxSize int64  // bytes. Defaults to 50 MiB
	API     string // address of the Gmail API, for tests. Defaults to Google's
}

// Fetch returns the content of a file. It can be called long after the event:
// when Gmail no longer knows the id of the file it looks the file up in the message.
//
// Errors: [ErrTooLarge]; connector.ErrGone when the message or the file is no
// longer there; *connector.RetryError when it may work later; else as
// connector.AnswerError says, or the Client's.
//
// Source: https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages.attachments/get
func Fetch(ctx context.Context, req FetchRequest) ([]byte, error) {
	a := req.Attachment
	switch {
	case req.Client == nil:
		return nil, errors.New("gmail: FetchRequest.Client is missing: put what Interactor.Client returns there")
	case req.MessageID == "" || a.ID == "" && a.PartID == "":
		return nil, errors.New("gmail: FetchRequest: MessageID and Attachment are required: take both from one Email")
	}
	if req.MaxSize <= 0 {
		req.MaxSize = defaultMaxFile
	}
	if req.API == "" {
		req.API = defaultAPI
	}
	if a.Size > req.MaxSize { // no need to ask
		return nil, tooLarge(req)
	}
	id := a.ID
	for again := range 2 {
		if id != "" {
			var body gmailapi.MessagePartBody
			err := req.get(ctx, "/attachments/"+url.PathEscape(id), req.MaxSize, &body)
			if err == nil {
				return req.decode(body.Data)
			}
			stale := errors.Is(err, connector.ErrGone) || errors.Is(err, connector.ErrRefused)
			if again > 0 || a.PartID == "" || !stale || errors.Is(err, ErrTooLarge) {
				return nil, err
			}
		}
		// Gmail gives a file another id each time the message is read.
		var m gmailapi.Message
		if err := req.get(ctx, "?format=full", 2*defaultMaxFile, &m); err != nil {
			return nil, err
		}
		p := findPart(m.Payload, a.PartID, 0)
		if p == nil || p.Body == nil {
			return nil, fmt.Errorf("gmail: file %q of message %s: %w", a.Filename, req.MessageID, connector.ErrGone)
		}
		if p.Body.AttachmentId == "" { // small ones are in the message itself
			return req.decode(p.Body.Data)
		}
		id = p.Body.AttachmentId
	}
	return nil, fmt.Errorf("gmail: file %q of message %s: %w", a.Filename, req.MessageID, connector.ErrGone)
}

func findPart(p *gmailapi.MessagePart, id string, depth int) *gmailapi.MessagePart {
	if p == nil || depth >= maxDepth {
		return nil
	}
	if p.PartId == id {
		return p
	}
	for _, child := range p.Parts {
		if found := findPart(child, id, depth+1); found != nil {
			return found
		}
	}
	return nil
}

func tooLarge(req FetchRequest) error {
	return fmt.Errorf("%w: file %q of message %s has more than %d bytes", ErrTooLarge, req.Attachment.Filename, req.MessageID, req.MaxSize)
}

func (req FetchRequest) decode(data string) ([]byte, error) {
	b, err := base64Any(data)
	if err != nil {
		return nil, fmt.Errorf("gmail: file %q of message %s: %w", req.Attachment.Filename, req.MessageID, err)
	}
	if int64(len(b)) > req.MaxSize {
		return nil, tooLarge(req)
	}
	return b, nil
}

// get asks about the message. most is how many bytes of content the answer may
// have, which are four for each three in JSON.
func (req FetchRequest) get(ctx context.Context, path string, most int64, out any) error {
	what := strings.TrimRight(req.API, "/") + "/gmail/v1/users/me/messages/" + url.PathEscape(req.MessageID) + path
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, what, nil)
	if err != nil {
		return fmt.Errorf("gmail: message %s: %w", req.MessageID, err)
	}
	res, err := req.Client.Do(r)
	if err != nil {
		return fmt.Errorf("gmail: message %s: %w", req.MessageID, err)
	}
	defer res.Body.Close()
	most += most/3 + 64<<10
	answer, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return fmt.Errorf("gmail: message %s: %w", req.MessageID, &connector.RetryError{Err: err})
	case int64(len(answer)) > most:
		return tooLarge(req)
	}
	if err := connector.AnswerError(res.StatusCode, res.Header, answer, time.Now()); err != nil {
		return fmt.Errorf("gmail: message %s: %w", req.MessageID, err)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("gmail: message %s: the answer is not the expected JSON: %w", req.MessageID, err)
	}
	return nil
}
