package dialguard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// errStop is how a test ends a dial that the guard let pass: no test reaches for
// a public address.
var errStop = errors.New("passed the guard")

// watched is a guarded dialer that connects to loopback alone and tells what the
// guard let pass and what it refused.
type watched struct {
	*http.Transport
	mu              sync.Mutex
	passed, refused []string
}

func watch(allowPrivate bool, r *net.Resolver) *watched {
	w := &watched{}
	guard := Control(allowPrivate)
	d := &net.Dialer{Timeout: 5 * time.Second, Resolver: r, FallbackDelay: time.Millisecond}
	d.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		err := guard(ctx, network, address, c)
		ip := netip.MustParseAddrPort(address).Addr()
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case err != nil:
			w.refused = append(w.refused, ip.String())
		case ip.IsLoopback():
			w.passed = append(w.passed, ip.String())
		default:
			w.passed = append(w.passed, ip.String())
			err = errStop
		}
		return err
	}
	w.Transport = transport(Config{AllowPrivate: allowPrivate}, d.DialContext)
	return w
}

func (w *watched) get(t testing.TB, url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.RoundTrip(req)
	if err == nil {
		res.Body.Close()
	}
	return err
}

// A name that leads to a public address when it is checked, and elsewhere later.
func TestRebinding(t *testing.T) {
	t.Parallel()
	public, private := []string{"93.184.216.34"}, []string{"127.0.0.1"}
	for _, row := range []struct {
		name    string
		lists   [][]string
		allow   bool
		passed  []string // by the first and the second request
		refused []string
	}{
		{"to loopback", [][]string{public, private}, false, public, private},
		{"to metadata, private allowed", [][]string{public, {"169.254.169.254"}}, true, public, []string{"169.254.169.254"}},
		{"to metadata over IPv6", [][]string{public, {"fd00:ec2::254"}}, true, public, []string{"fd00:ec2::254"}},
		{"to loopback over IPv6", [][]string{public, {"::1"}}, false, public, []string{"::1"}},
		{"to IPv4 within IPv6", [][]string{public, {"64:ff9b::7f00:1"}}, false, public, []string{"64:ff9b::7f00:1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := watch(row.allow, newNames(t, hostThen("rebound.example", row.lists...)).resolver())
			if err := w.get(t, "http://rebound.example:9/"); !errors.Is(err, errStop) {
				t.Fatalf("the first request: %v, want the guard passed", err)
			}
			if err := w.get(t, "http://rebound.example:9/"); !errors.Is(err, ErrRefused) {
				t.Errorf("the second request: %v, want ErrRefused", err)
			}
			if !slices.Equal(w.passed, row.passed) || !slices.Equal(w.refused, row.refused) {
				t.Errorf("passed %v, want %v; refused %v, want %v", w.passed, row.passed, w.refused, row.refused)
			}
		})
	}
}

// Every address of an answer is judged when its turn comes: in order, in parallel
// (Happy Eyeballs), and through aliases.
func TestMixedAnswers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		records []record
		allow   bool
		forbid  []string // must never pass
	}{
		{"public first", []record{host("a.example", "93.184.216.34", "127.0.0.1", "10.0.0.1")}, false, []string{"127.0.0.1", "10.0.0.1"}},
		{"private first", []record{host("a.example", "127.0.0.1", "93.184.216.34")}, false, []string{"127.0.0.1"}},
		{"both families, IPv6 private", []record{host("a.example", "93.184.216.34", "::1")}, false, []string{"::1"}},
		{"both families, IPv4 private", []record{host("a.example", "127.0.0.1", "2606:2800:220:1::1")}, false, []string{"127.0.0.1"}},
		{"both families, metadata", []record{host("a.example", "169.254.169.254", "fd00:ec2::254")}, true, []string{"169.254.169.254", "fd00:ec2::254"}},
		{"alias", []record{host("a.example", "b.example."), host("b.example", "127.0.0.1")}, false, []string{"127.0.0.1"}},
		{"alias of an alias", []record{host("a.example", "b.example."), host("b.example", "c.example."), host("c.example", "169.254.169.254")}, true, []string{"169.254.169.254"}},
		{"NAT64 of metadata beside a public address", []record{host("a.example", "93.184.216.34", "64:ff9b::a9fe:a9fe")}, true, []string{"64:ff9b::a9fe:a9fe"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := watch(row.allow, newNames(t, row.records...).resolver())
			if err := w.get(t, "http://a.example:9/"); err == nil || !errors.Is(err, ErrRefused) && !errors.Is(err, errStop) {
				t.Errorf("error %v", err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, ip := range row.forbid {
				if slices.Contains(w.passed, ip) {
					t.Errorf("%s passed", ip)
				}
			}
			if len(w.refused)+len(w.passed) == 0 {
				t.Error("nothing was judged")
			}
		})
	}
}

// A connection that is open to one name does not serve another one, although it
// is HTTP/2, leads to the same address and the certificate has both names; nor
// does Alt-Svc lead anywhere.
func TestEveryNameIsJudged(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	from := map[string][]string{} // host: addresses of connections
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name, _, _ := strings.Cut(r.Host, ":")
		from[name] = append(from[name], r.RemoteAddr)
		if r.ProtoMajor != 2 {
			t.Errorf("%s", r.Proto)
		}
		w.Header().Set("Alt-Svc", `h2="169.254.169.254:443", h2="evil.example.com:1"`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	d := newNames(t, host("one.example.com", "127.0.0.1"), host("two.example.com", "127.0.0.1"),
		hostThen("three.example.com", []string{"169.254.169.254"}), host("evil.example.com", "127.0.0.1"))
	tr := New(Config{AllowPrivate: true, Resolver: d.resolver(), RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	defer tr.CloseIdleConnections()
	get := func(name string) error {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+name+":"+port, nil)
		res, err := tr.RoundTrip(req)
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	for _, name := range []string{"one.example.com", "one.example.com", "two.example.com"} {
		if err := get(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := get("three.example.com"); !errors.Is(err, ErrRefused) {
		t.Errorf("a name that leads to metadata: %v", err)
	}
	one, two := from["one.example.com"], from["two.example.com"]
	if len(one) != 2 || one[0] != one[1] || len(two) != 1 || two[0] == one[0] {
		t.Errorf("connections: %v", from)
	}
	if d.lookups("evil.example.com") != 0 {
		t.Error("Alt-Svc was followed")
	}
}
