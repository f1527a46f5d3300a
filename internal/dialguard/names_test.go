package dialguard

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a DNS server on loopback: what it says of a name can change with
// every question, as an attacker's does.
type names struct {
	conn net.PacketConn

	mu    sync.Mutex
	hosts map[string]func(n int) []string // addresses, or "other.name." for an alias
	asked map[string]int                  // "name/A"
}

type record struct {
	name    string
	answers func(n int) []string
}

// host has the same addresses every time.
func host(name string, addresses ...string) record {
	return record{name, func(int) []string { return addresses }}
}

// hostThen gives the last list from then on.
func hostThen(name string, lists ...[]string) record {
	return record{name, func(n int) []string { return lists[min(n, len(lists))-1] }}
}

func newNames(t testing.TB, records ...record) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &names{conn: conn, hosts: make(map[string]func(int) []string), asked: make(map[string]int)}
	for _, r := range records {
		d.hosts[r.name+"."] = r.answers
	}
	done := make(chan struct{})
	go func() { defer close(done); d.serve() }()
	t.Cleanup(func() { conn.Close(); <-done })
	return d
}

func (d *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
}

// lookups counts the questions for addresses of a name, IPv4.
func (d *names) lookups(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[name+"./"+dnsmessage.TypeA.String()]
}

func (d *names) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := d.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		d.answer(&m)
		if b, err := m.Pack(); err == nil {
			_, _ = d.conn.WriteTo(b, from)
		}
	}
}

func (d *names) answer(m *dnsmessage.Message) {
	q := m.Questions[0]
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := q.Name; ; {
		answers, known := d.hosts[strings.ToLower(name.String())]
		if !known {
			m.RCode = dnsmessage.RCodeNameError
			return
		}
		key := name.String() + "/" + q.Type.String()
		d.asked[key]++
		head := dnsmessage.ResourceHeader{Name: name, Type: q.Type, Class: q.Class}
		next := ""
		for _, text := range answers(d.asked[key]) {
			ip, err := netip.ParseAddr(text)
			switch {
			case err != nil:
				next = text
			case ip.Is4() && q.Type == dnsmessage.TypeA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
			case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
			}
		}
		if next == "" {
			return
		}
		alias := dnsmessage.MustNewName(next)
		head.Type = dnsmessage.TypeCNAME
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.CNAMEResource{CNAME: alias}})
		name = alias
	}
}
