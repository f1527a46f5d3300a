package gmail

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	gmailapi "google.golang.org/api/gmail/v1"
)

func TestDecodeHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "Lunch?", "Lunch?"},
		{"UTF-8 as it is", "Käse – 🧀", "Käse – 🧀"},
		{"Q", "=?utf-8?q?K=C3=A4se?=", "Käse"},
		{"B", "=?UTF-8?B?S8Okc2U=?=", "Käse"},
		{"latin 1", "=?iso-8859-1?Q?K=E4se?=", "Käse"},
		{"windows 1252", "=?windows-1252?Q?=93Hi=94?=", "“Hi”"},
		{"Japanese", "=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは"},
		{"Chinese", "=?gb2312?B?xOO6ww==?=", "你好"},
		{"words are joined", "=?utf-8?q?Hel?= =?utf-8?q?lo?=", "Hello"},
		{"unknown character set stays", "=?x-unknown?q?K=E4se?=", "=?x-unknown?q?K=E4se?="},
		{"malformed stays", "=?utf-8?b?!?=", "=?utf-8?b?!?="},
		{"line breaks do not get through", "=?utf-8?q?Hi=0D=0ABcc:_eve=40example.com?=", "Hi  Bcc: eve@example.com"},
		{"nor do folded lines", "a\r\n b", "a   b"},
		{"NUL", "=?utf-8?q?a=00b?=", "a b"},
		{"right-to-left override", "invoice\u202efdp.exe", "invoicefdp.exe"},
		{"bytes that are not UTF-8", "K\xe4se", "K\uFFFDse"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := decodeHeader(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func address(name, email string) Address { return Address{Name: name, Email: email} }

func TestParseAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []Address
	}{
		{"none", "", nil},
		{"bare", "bob@example.com", []Address{address("", "bob@example.com")}},
		{"named", "Bob <bob@example.com>", []Address{address("Bob", "bob@example.com")}},
		{"quoted comma", `"Smith, Bob" <bob@example.com>, c@example.com`, []Address{address("Smith, Bob", "bob@example.com"), address("", "c@example.com")}},
		{"encoded comma does not split", "=?utf-8?q?M=C3=BCller=2C_Hans?= <h@example.com>", []Address{address("Müller, Hans", "h@example.com")}},
		{"Japanese", "=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?= <j@example.com>", []Address{address("こんにちは", "j@example.com")}},
		{"group", "Team: a@example.com, Bob <b@example.com>;", []Address{address("", "a@example.com"), address("Bob", "b@example.com")}},
		{"empty group", "undisclosed-recipients:;", nil},
		{"one bad entry spoils none", "a@example.com, not an address, Bob <b@example.com>", []Address{address("", "a@example.com"), address("not an address", ""), address("Bob", "b@example.com")}},
		{"unquoted full stop", "Dr. Bob B. <b@example.com>", []Address{address("Dr. Bob B.", "b@example.com")}},
		{"unquoted at", "bob@work <b@example.com>", []Address{address("bob@work", "b@example.com")}},
		{"semicolons", "a@example.com; b@example.com", []Address{address("", "a@example.com"), address("", "b@example.com")}},
		{"stray comma", "a@example.com,,b@example.com,", []Address{address("", "a@example.com"), address("", "b@example.com")}},
		{"international", "用户@例子.广告", []Address{address("", "用户@例子.广告")}},
		{"no new line in a name", "=?utf-8?q?Bob=0D=0ABcc:_x?= <b@example.com>", []Address{address("Bob  Bcc: x", "b@example.com")}},
		{"unclosed", "Bob <b@example.com", []Address{address("Bob <b@example.com", "")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, cut := parseAddresses(tt.in); !slices.Equal(got, tt.want) || cut {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAddressesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in string }{
		{"many", strings.Repeat("a@example.com, ", maxAddresses) + "b@example.com"},
		{"many broken ones", strings.Repeat("x y, ", 50_000)},
		{"a long name", `"` + strings.Repeat("x", maxHeader+1) + `" <a@example.com>`},
		{"a long header", strings.Repeat("x", maxAddressText+1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, cut := parseAddresses(tt.in)
			if !cut || len(got) > maxAddresses {
				t.Errorf("%d addresses, cut %v", len(got), cut)
			}
		})
	}
}

// part makes a leaf of a MIME tree.
func part(mimeType, contentType, filename, data string) *gmailapi.MessagePart {
	return &gmailapi.MessagePart{
		MimeType: mimeType, Filename: filename,
		Headers: []*gmailapi.MessagePartHeader{{Name: "Content-Type", Value: contentType}},
		Body:    &gmailapi.MessagePartBody{Data: base64.URLEncoding.EncodeToString([]byte(data)), Size: int64(len(data))},
	}
}

func tree(mimeType string, parts ...*gmailapi.MessagePart) *gmailapi.MessagePart {
	return &gmailapi.MessagePart{MimeType: mimeType, Parts: parts}
}

func TestBody(t *testing.T) {
	t.Parallel()
	deep := part("text/plain", "", "", "at the bottom")
	for range maxDepth {
		deep = tree("multipart/mixed", deep)
	}
	apart := part("text/plain", "", "", "")
	apart.Body.AttachmentId, apart.Body.Size = "A", 1<<20
	disposed := part("text/plain", "", "", "a note")
	disposed.Headers = append(disposed.Headers, &gmailapi.MessagePartHeader{Name: "content-disposition", Value: "attachment"})
	long := strings.Repeat("ä", maxText)
	for _, tt := range []struct {
		name       string
		root       *gmailapi.MessagePart
		text, html string
		files      int
		cut        bool
	}{
		{"none", nil, "", "", 0, false},
		{"one", part("text/plain", "text/plain; charset=UTF-8", "", "Hi"), "Hi", "", 0, false},
		{"alternatives", tree("multipart/alternative", part("text/plain", "", "", "Hi"), part("text/html", "", "", "<p>Hi")), "Hi", "<p>Hi", 0, false},
		{"files", tree("multipart/mixed", part("text/plain", "", "", "Hi"), part("image/png", "", "a.png", "x"), part("text/plain", "", "b.txt", "y")), "Hi", "", 2, false},
		{"text as attachment", tree("multipart/mixed", part("text/plain", "", "", "Hi"), disposed), "Hi", "", 1, false},
		{"text in two parts", tree("multipart/mixed", part("text/plain", "", "", "a"), part("text/plain", "", "", "b")), "a\nb", "", 0, false},
		{"a forwarded message keeps its text", tree("multipart/mixed", part("text/plain", "", "", "FYI"), tree("message/rfc822", part("text/plain", "", "", "secret"))), "FYI", "", 1, false},
		{"latin 1", part("text/plain", "text/plain; charset=iso-8859-1", "", "K\xe4se"), "Käse", "", 0, false},
		{"latin 1, already converted", part("text/plain", "text/plain; charset=iso-8859-1", "", "Käse"), "Käse", "", 0, false},
		{"Japanese", part("text/plain", "text/plain; charset=ISO-2022-JP", "", "\x1b$B$3$s$K$A$O\x1b(B"), "こんにちは", "", 0, false},
		{"Japanese, already converted", part("text/plain", "text/plain; charset=ISO-2022-JP", "", "こんにちは"), "こんにちは", "", 0, false},
		{"unknown character set", part("text/plain", "text/plain; charset=x", "", "K\xe4se"), "K\uFFFDse", "", 0, false},
		{"NUL", part("text/plain", "", "", "a\x00b"), "a\uFFFDb", "", 0, false},
		{"too long", part("text/plain", "", "", long), long[:maxText], "", 0, true},
		{"too long, cut between characters", part("text/plain", "", "", "x"+long), "x" + long[:maxText-2], "", 0, true},
		{"stored apart", apart, "", "", 1, true},
		{"too deep", deep, "", "", 0, true},
		{"a missing part", tree("multipart/mixed", nil, part("text/plain", "", "", "Hi")), "Hi", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEmail(&gmailapi.Message{Id: "1", Payload: tt.root})
			if e.Text != tt.text || e.HTML != tt.html || len(e.Attachments) != tt.files || e.Truncated != tt.cut {
				t.Errorf("got %.40q, %q, %d files, cut %v", e.Text, e.HTML, len(e.Attachments), e.Truncated)
			}
		})
	}
}

func TestRawIsBounded(t *testing.T) {
	t.Parallel()
	m := &gmailapi.Message{Id: "1", Payload: tree("multipart/mixed", part("text/plain", "", "", "Hi"))}
	if raw := string(rawMessage(m)); !strings.Contains(raw, `"data":"SGk="`) {
		t.Errorf("raw is %s", raw)
	}
	m.Payload.Parts = append(m.Payload.Parts, part("text/html", "", "", strings.Repeat("x", maxRaw)))
	if raw := string(rawMessage(m)); len(raw) > maxRaw || !strings.Contains(raw, `"mimeType":"text/html"`) {
		t.Errorf("raw is %d bytes", len(raw))
	}
	if m.Payload.Parts[1].Body.Data == "" {
		t.Error("the message itself was changed")
	}
	m.Payload.Headers = []*gmailapi.MessagePartHeader{{Name: "X", Value: strings.Repeat("x", maxRaw)}}
	if raw := rawMessage(m); len(raw) > maxRaw || len(raw) == 0 {
		t.Errorf("raw is %d bytes", len(raw))
	}
}

// clean reports what must never get into an Email's one-line texts.
func clean(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > maxHeader {
		t.Errorf("got %q", s)
	}
}

func FuzzParseAddresses(f *testing.F) {
	for _, seed := range []string{
		"Bob <bob@example.com>", `"a\"b, c" <d@e>`, "Team: a@b, c@d;", "=?utf-8?q?M=2C?= <h@x>, ,;<>", "\xff<a@b>", "=?iso-2022-jp?B?GyRC?= <a@b>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		list, _ := parseAddresses(value)
		if len(list) > maxAddresses {
			t.Errorf("%d addresses", len(list))
		}
		for _, a := range list {
			clean(t, a.Name)
			clean(t, a.Email)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	for _, seed := range []string{"=?utf-8?q?K=C3=A4se?=", "=?iso-2022-jp?B?GyRCJDM=?=", "=?utf-8?q?=0D=0A?=", "a\u202eb", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, _ := clip(decodeHeader(value), maxHeader)
		clean(t, got)
	})
}

func FuzzDecodeText(f *testing.F) {
	f.Add("S8Okc2U", "text/plain; charset=utf-8")
	f.Add("GyRCJDMbKEI=", "text/plain; charset=iso-2022-jp")
	f.Add("/+8=", "text/html; charset=utf-16")
	f.Add("!", ";")
	f.Fuzz(func(t *testing.T, data, contentType string) {
		if got := decodeText(data, contentType); !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("got %q", got)
		}
	})
}
