package forward

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	firstRead = 64 << 10 // bytes that are reserved for a body at first
	readAtAll = 2        // bytes beyond the limit that tell it is exceeded
)

// readBody reads the request's body as it came. What it takes counts against
// Limits.Inbound until the request is answered: held is to be subtracted then.
// Memory is reserved as bytes arrive, so announcing a large body costs others
// nothing. status is 0, 413, 400 or 503.
func (f *Forwarder) readBody(w http.ResponseWriter, r *http.Request) (body []byte, held int64, status int) {
	limit := f.limits.MaxBody
	if r.ContentLength > limit {
		return nil, 0, http.StatusRequestEntityTooLarge
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, 0, 0
	}
	// A sender that trickles must not keep its share for ever. Writers that know
	// no deadlines (tests) have no such senders.
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(readTimeout)) == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	size := min(limit, firstRead)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength)
	}
	size++ // so that the end is seen without growing
	if !f.reserve(size) {
		return nil, 0, http.StatusServiceUnavailable
	}
	held = size
	body = make([]byte, 0, size)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, held, http.StatusRequestEntityTooLarge
		case errors.Is(err, io.EOF):
			return body, held, 0
		case err != nil:
			return nil, held, http.StatusBadRequest
		}
		if len(body) < cap(body) {
			continue
		}
		more := min(int64(cap(body)), limit+readAtAll-int64(cap(body)))
		if !f.reserve(more) {
			return nil, held, http.StatusServiceUnavailable
		}
		held += more
		body = append(make([]byte, 0, int64(cap(body))+more), body...)
	}
}

// reserve takes bytes of Limits.Inbound.
func (f *Forwarder) reserve(n int64) bool {
	if f.inbound.Add(n) > f.limits.Inbound {
		f.inbound.Add(-n)
		return false
	}
	return true
}
