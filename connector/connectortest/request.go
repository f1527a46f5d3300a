package connectortest

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// ReadRequest reads a request file.
func ReadRequest(file string) (*connector.Inbound, error) {
	b, err := os.ReadFile(file) //nolint:gosec // named by the test that calls
	if err != nil {
		return nil, err
	}
	in, err := ParseRequest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return in, nil
}

// ParseRequest reads Method, URL, Header and Body from the text of an HTTP/1.1
// request. The URL is https:// with the Host header, unless the request line has
// a whole one. Lines may end in LF alone; the body is everything after the
// first empty line, whatever Content-Length says.
func ParseRequest(text []byte) (*connector.Inbound, error) {
	head, body, ok := bytes.Cut(text, []byte("\n\n"))
	if before, after, crlf := bytes.Cut(text, []byte("\r\n\r\n")); crlf && (!ok || len(before) < len(head)) {
		head, body, ok = before, after, true
	}
	if !ok {
		return nil, fmt.Errorf("there is no empty line after the headers")
	}
	reader := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.Clone(head), "\r\n\r\n"...))))
	line, err := reader.ReadLine()
	if err != nil {
		return nil, fmt.Errorf("request line: %w", err)
	}
	parts := strings.Fields(line)
	if len(parts) != 3 || !strings.HasPrefix(parts[2], "HTTP/1.") {
		return nil, fmt.Errorf("request line %.80q: write METHOD /path HTTP/1.1", line)
	}
	header, err := reader.ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	in := &connector.Inbound{Method: parts[0], URL: parts[1], Header: http.Header(header), Body: body}
	if strings.HasPrefix(in.URL, "/") {
		host := in.Header.Get("Host")
		if host == "" {
			return nil, fmt.Errorf("header Host is missing")
		}
		in.URL = "https://" + host + in.URL
	}
	in.Header.Del("Host") // as net/http keeps it
	return in, nil
}
