package dialguard

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestCheckAddr(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, addr      string
		public, private bool // may be dialled; with private networks allowed
	}{
		{"public IPv4", "93.184.216.34", true, true},
		{"public IPv6", "2606:2800:220:1:248:1893:25c8:1946", true, true},
		{"public IPv4, mapped", "::ffff:93.184.216.34", true, true},
		{"public IPv4, NAT64", "64:ff9b::5db8:d822", true, true},
		{"loopback", "127.0.0.1", false, true},
		{"loopback, another", "127.8.8.8", false, true},
		{"loopback, mapped", "::ffff:127.0.0.1", false, true},
		{"loopback, NAT64", "64:ff9b::7f00:1", false, true},
		{"loopback IPv6", "::1", false, true},
		{"unspecified", "0.0.0.0", false, true},
		{"unspecified IPv6", "::", false, true},
		{"private 10", "10.1.2.3", false, true},
		{"private 172", "172.31.255.255", false, true},
		{"private 192", "192.168.1.1", false, true},
		{"private, mapped", "::ffff:192.168.1.1", false, true},
		{"unique local", "fd12:3456::1", false, true},
		{"carrier grade NAT", "100.64.0.1", false, true},
		{"benchmarking", "198.18.0.1", false, true},
		{"broadcast", "255.255.255.255", false, true},
		{"multicast", "224.0.0.1", false, true},
		{"6to4 of a private address", "2002:0a00:0001::1", false, true},
		{"metadata", "169.254.169.254", false, false},
		{"metadata of containers", "169.254.170.2", false, false},
		{"metadata, mapped", "::ffff:169.254.169.254", false, false},
		{"metadata, NAT64", "64:ff9b::a9fe:a9fe", false, false},
		{"metadata, local NAT64 of 96 bits", "64:ff9b:1::a9fe:a9fe", false, false},
		{"metadata, local NAT64 of 48 bits", "64:ff9b:1:a9fe:a9:fe00::", false, false},
		{"metadata, 6to4", "2002:a9fe:a9fe::", false, false},
		{"metadata, Teredo", "2001:0:1234:5678:0:0:5601:5601", false, false},
		{"metadata, ISATAP", "fd00::5efe:a9fe:a9fe", false, false},
		{"metadata, compatible", "::169.254.169.254", false, false},
		{"metadata, translated", "::ffff:0:a9fe:a9fe", false, false},
		{"link-local, translated", "::ffff:0:a9fe:1", false, false},
		{"metadata, ISATAP, universal bit", "2606:2800::200:5efe:a9fe:a9fe", false, false},
		{"private, ISATAP", "2606:2800::5efe:a00:1", false, true},
		{"metadata, 6to4 and mapped", "2002:a9fe:a9fe::a9fe:a9fe", false, false},
		{"metadata, Teredo, as its server", "2001:0:a9fe:a9fe::", false, false},
		{"metadata, NAT64 of a network's own prefix", "2606:2800:64::a9fe:a9fe", false, false},
		{"metadata of Alibaba, NAT64", "64:ff9b::6464:64c8", false, false},
		{"metadata of Azure, NAT64 of a network's own prefix", "2606:2800:64::a83f:8110", false, false},
		{"metadata of containers, 6to4", "2002:a9fe:aa02::1", false, false},
		{"metadata of EKS", "169.254.170.23", false, false},
		{"metadata of EKS over IPv6", "fd00:ec2::23", false, false},
		{"DNS of AWS over IPv6", "fd00:ec2::253", false, false},
		{"metadata of Google over IPv6", "fd20:ce::254", false, false},
		{"metadata of Oracle over IPv6", "fd00:c1::a9fe:a9fe", false, false},
		{"metadata of Linode over IPv6", "fd00:a9fe:a9fe::1", false, false},
		{"metadata of Scaleway over IPv6", "fd00:42::42", false, false},
		{"metadata of Volcano Engine", "100.96.0.96", false, false},
		{"site-local", "fec0::1", false, true},
		{"loopback, compatible", "::7f00:1", false, true},
		{"documentation", "2001:db8::1", false, true},
		{"multicast IPv6", "ff02::1", false, true},
		{"metadata of AWS over IPv6", "fd00:ec2::254", false, false},
		{"metadata of Alibaba", "100.100.100.200", false, false},
		{"metadata of Azure", "168.63.129.16", false, false},
		{"link-local IPv6 with zone", "fe80::1%eth0", false, false},
		{"metadata with zone", "fd00:ec2::254%eth0", false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ip := netip.MustParseAddr(row.addr)
			for allow, want := range map[bool]bool{false: row.public, true: row.private} {
				err := CheckAddr(ip, allow)
				if (err == nil) != want {
					t.Errorf("CheckAddr(%s, %v) = %v, allowed should be %v", ip, allow, err, want)
				}
				if err != nil && !errors.Is(err, ErrRefused) {
					t.Errorf("%v does not wrap ErrRefused", err)
				}
			}
		})
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, url       string
		public, private bool
		says            string
	}{
		{"name", "https://app.example.com/x", true, true, ""},
		{"loopback", "http://127.0.0.1:9000/events", false, true, "loopback address: set AllowPrivateNetworks"},
		{"localhost", "http://localhost:9000", false, true, "loopback address: set AllowPrivateNetworks"},
		{"localhost with full stop", "http://LocalHost.:9000", false, true, "loopback"},
		{"below localhost", "http://a.localhost", false, true, "loopback"},
		{"IPv6", "http://[::1]:1", false, true, "loopback"},
		{"private", "http://10.0.0.1", false, true, "private"},
		{"metadata", "http://169.254.169.254/latest", false, false, "never called"},
		{"metadata in NAT64", "http://[64:ff9b::a9fe:a9fe]/", false, false, "never called"},
		{"metadata by name", "http://metadata.google.internal./", false, false, "never called"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(row.url)
			if err != nil {
				t.Fatal(err)
			}
			for allow, want := range map[bool]bool{false: row.public, true: row.private} {
				err := CheckURL(u, allow)
				if (err == nil) != want {
					t.Errorf("CheckURL(%s, %v) = %v", u, allow, err)
				}
				if err != nil && !strings.Contains(err.Error(), row.says) {
					t.Errorf("%v: should say %q", err, row.says)
				}
			}
		})
	}
}

// The name is judged by what it resolves to when it is dialled.
func TestTransportJudgesWhatTheResolverGave(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, row := range []struct {
		name  string
		addr  string
		allow bool
		ok    bool
	}{
		{"rebound to loopback", "127.0.0.1", false, false},
		{"loopback, allowed", "127.0.0.1", true, true},
		{"rebound to metadata, private allowed", "169.254.169.254", true, false},
	} {
		tr := New(Config{AllowPrivate: row.allow, Resolver: newNames(t, host("receiver.example", row.addr)).resolver()})
		req, _ := http.NewRequest(http.MethodPost, "http://receiver.example:"+port, nil)
		before := asked.Load()
		res, err := tr.RoundTrip(req)
		if err == nil {
			res.Body.Close()
		}
		tr.CloseIdleConnections()
		if (err == nil) != row.ok || (asked.Load() > before) != row.ok {
			t.Errorf("%s: %v, requests %d", row.name, err, asked.Load()-before)
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v does not wrap ErrRefused", row.name, err)
		}
	}
}

func TestTransportFollowsNoProxy(t *testing.T) {
	t.Parallel()
	if New(Config{}).Proxy != nil {
		t.Error("a proxy would hide the address that is really called")
	}
}

// What may be dialled without private networks may be dialled with them; an
// address is judged alike in its two spellings; and metadata stays refused
// wherever it is put.
func FuzzCheckAddr(f *testing.F) {
	for _, text := range []string{"::", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00::5efe:a9fe:a9fe", "93.184.216.34", "2606:2800:220:1::1"} {
		b := netip.MustParseAddr(text).As16()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ip, ok := netip.AddrFromSlice(b)
		if !ok || len(b) != 16 {
			return
		}
		public, private := CheckAddr(ip, false), CheckAddr(ip, true)
		if public == nil && private != nil {
			t.Errorf("%s is allowed, but not with private networks: %v", ip, private)
		}
		if u := ip.Unmap(); (CheckAddr(u, false) == nil) != (public == nil) || (CheckAddr(u, true) == nil) != (private == nil) {
			t.Errorf("%s and %s are judged differently", ip, u)
		}
		copy(b[12:], []byte{169, 254, 169, 254})
		if ip, _ := netip.AddrFromSlice(b); CheckAddr(ip, true) == nil {
			t.Errorf("%s is allowed", ip)
		}
	})
}
