package gmail

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// notification is what Gmail publishes: that a mailbox has changed.
type notification struct {
	EmailAddress string    `json:"emailAddress"`
	HistoryID    historyID `json:"historyId"`
}

// thin is what Expand is told of a notification.
type thin struct {
	HistoryID historyID `json:"history_id"`
}

// historyID is a number in notifications and a string everywhere else. It is
// larger than what a float64 holds exactly.
type historyID uint64

// UnmarshalJSON accepts both forms.
func (h *historyID) UnmarshalJSON(b []byte) error {
	text := string(b)
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		text = text[1 : n-1]
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("historyId %.40q is no whole number", text)
	}
	*h = historyID(v)
	return nil
}

// MarshalJSON writes the string form.
func (h historyID) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatUint(uint64(h), 10)), nil
}

// Decode reads a Pub/Sub push, also of a subscription with payload unwrapping.
// It says whose mailbox has changed; Expand finds out what happened.
func (c *Connector) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	n, err := readPush(in.Body)
	if err != nil {
		return nil, fmt.Errorf("gmail: push: %w", err)
	}
	t, err := json.Marshal(thin{n.HistoryID})
	if err != nil {
		return nil, fmt.Errorf("gmail: push: %w", err)
	}
	return &connector.Decoded{Notices: []connector.Notice{{
		To: []connector.Key{mailboxKey(n.EmailAddress)}, Thin: t, Watch: watchMailbox,
		// One walk through the history serves every notification that waits.
		Merge: "history",
	}}}, nil
}

func readPush(body []byte) (notification, error) {
	var push struct {
		notification
		Message *struct {
			Data *string `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		return notification{}, fmt.Errorf("body: %w", err)
	}
	n := push.notification
	if push.Message != nil {
		if push.Message.Data == nil {
			return notification{}, errors.New("message has no data")
		}
		data, err := base64Any(*push.Message.Data)
		if err != nil {
			return notification{}, fmt.Errorf("data: %w", err)
		}
		n = notification{}
		if err := json.Unmarshal(data, &n); err != nil {
			return notification{}, fmt.Errorf("data: %w", err)
		}
	}
	switch {
	case !strings.Contains(n.EmailAddress, "@"):
		return notification{}, errors.New("emailAddress is missing: is this topic used by Gmail alone?")
	case n.HistoryID == 0:
		return notification{}, errors.New("historyId is missing")
	}
	return n, nil
}

// base64Any decodes the standard and the URL alphabet, with or without padding.
func base64Any(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "=\r\n "))
	return base64.RawStdEncoding.DecodeString(s)
}
