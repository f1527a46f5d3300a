package gmail_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
)

const documented = `{"message":{"data":"eyJlbWFpbEFkZHJlc3MiOiJ1QGV4LmNvbSIsImhpc3RvcnlJZCI6MTIzNDU2N30=",
"messageId":"15648488012403560","message_id":"15648488012403560",
"publishTime":"2025-07-21T12:00:31.793Z","publish_time":"2025-07-21T12:00:31.793Z"},
"subscription":"projects/p/subscriptions/s"}`

func wrap(enc *base64.Encoding, data string) string {
	return fmt.Sprintf(`{"message":{"data":%q,"messageId":"1"},"subscription":"s"}`, enc.EncodeToString([]byte(data)))
}

func TestDecode(t *testing.T) {
	t.Parallel()
	// ?>?> gives both letters in which the alphabets differ.
	odd := `{"emailAddress":"?>?>ü@ex.com","historyId":7}`
	for _, tt := range []struct {
		name, body    string
		mailbox, thin string // empty mailbox: an error
	}{
		{"as documented", documented, "u@ex.com", "1234567"},
		{"number as text", wrap(base64.StdEncoding, `{"emailAddress":"u@ex.com","historyId":"1234567"}`), "u@ex.com", "1234567"},
		{"larger than a float holds", wrap(base64.StdEncoding, `{"emailAddress":"u@ex.com","historyId":18446744073709551615}`), "u@ex.com", "18446744073709551615"},
		{"case is folded", wrap(base64.StdEncoding, `{"emailAddress":"U@Ex.COM","historyId":7}`), "u@ex.com", "7"},
		{"URL alphabet", wrap(base64.URLEncoding, odd), "?>?>ü@ex.com", "7"},
		{"standard alphabet", wrap(base64.StdEncoding, odd), "?>?>ü@ex.com", "7"},
		{"URL alphabet, no padding", wrap(base64.RawURLEncoding, odd), "?>?>ü@ex.com", "7"},
		{"standard alphabet, no padding", wrap(base64.RawStdEncoding, odd), "?>?>ü@ex.com", "7"},
		{"unwrapped", `{"emailAddress":"u@ex.com","historyId":1234567}`, "u@ex.com", "1234567"},
		{"members of tomorrow", wrap(base64.StdEncoding, `{"emailAddress":"u@ex.com","historyId":7,"new":{}}`), "u@ex.com", "7"},
		{"empty", ``, "", ""},
		{"no object", `[]`, "", ""},
		{"null", `null`, "", ""},
		{"message without data", `{"message":{"messageId":"1"}}`, "", ""},
		{"data is no base64", `{"message":{"data":"!"}}`, "", ""},
		{"data is no JSON", wrap(base64.StdEncoding, "hello"), "", ""},
		{"another publisher's data", wrap(base64.StdEncoding, `{"kind":"storage#object"}`), "", ""},
		{"no mailbox", wrap(base64.StdEncoding, `{"historyId":7}`), "", ""},
		{"no history id", wrap(base64.StdEncoding, `{"emailAddress":"u@ex.com"}`), "", ""},
		{"fraction", wrap(base64.StdEncoding, `{"emailAddress":"u@ex.com","historyId":1.5}`), "", ""},
		{"negative", wrap(base64.StdEncoding, `{"emailAddress":"u@ex.com","historyId":-1}`), "", ""},
		{"exponent", wrap(base64.StdEncoding, `{"emailAddress":"u@ex.com","historyId":1e3}`), "", ""},
		{"outer members do not stand in for data", `{"emailAddress":"eve@ex.com","historyId":1,"message":{"data":""}}`, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := gmail.New(gmail.Config{}).Decode(&connector.Inbound{Body: []byte(tt.body)})
			if tt.mailbox == "" {
				if err == nil {
					t.Errorf("got %+v", d.Notices)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			n := d.Notices[0]
			if len(d.Notices) != 1 || len(n.To) != 1 || n.To[0] != connector.NewKey("mailbox", tt.mailbox) {
				t.Errorf("notices %+v", d.Notices)
			}
			if want := `{"history_id":"` + tt.thin + `"}`; string(n.Thin) != want || n.Merge == "" || n.Watch != "mailbox" {
				t.Errorf("notice %+v, thin %s, want %s", n, n.Thin, want)
			}
		})
	}
}

func TestStandInSendsWhatIsDocumented(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	members := func(b []byte) string {
		var v struct {
			Message map[string]any `json:"message"`
			Rest    any            `json:"subscription"`
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		keys := make([]string, 0, len(v.Message))
		for k := range v.Message {
			keys = append(keys, k)
		}
		return fmt.Sprint(len(keys), v.Rest != nil)
	}
	if got, want := members(google.Notification(alice, 7)), members([]byte(documented)); got != want {
		t.Errorf("the stand-in's push has %s members, Google's %s", got, want)
	}
	for _, tt := range []struct {
		name            string
		text, unwrapped bool
	}{{"number", false, false}, {"text", true, false}, {"unwrapped", false, true}} {
		google.SetHistoryIDAsString(tt.text)
		google.SetUnwrapped(tt.unwrapped)
		d, err := gmail.New(gmail.Config{}).Decode(&connector.Inbound{Body: google.Notification(alice, 1<<63+1)})
		if err != nil || !strings.Contains(string(d.Notices[0].Thin), `"9223372036854775809"`) {
			t.Errorf("%s: %+v, %v", tt.name, d, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(documented))
	f.Add([]byte(`{"emailAddress":"u@ex.com","historyId":"1"}`))
	f.Add([]byte(wrap(base64.RawURLEncoding, `{"emailAddress":"U@ex.com","historyId":18446744073709551615}`)))
	f.Add([]byte(`{"message":{"data":null}}`))
	c := gmail.New(gmail.Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := c.Decode(&connector.Inbound{Body: body})
		again, err2 := c.Decode(&connector.Inbound{Body: body})
		if fmt.Sprint(first, err) != fmt.Sprint(again, err2) && err == nil {
			t.Errorf("decoded differently: %v, %v", first, again)
		}
		if err != nil {
			return
		}
		for _, n := range first.Notices {
			if len(n.To) != 1 || !json.Valid(n.Thin) {
				t.Errorf("notice %+v", n)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	google := newGoogle(f)
	c := gmail.New(google.Config())
	app, _ := c.DefaultApp()
	for _, seed := range []string{"", "Bearer ", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		in := inbound(google, app, "")
		in.Header.Set("Authorization", header)
		if err := c.Verify(t.Context(), in); err == nil {
			t.Errorf("verified %q", header)
		}
	})
}
