package dialguard

import "net/netip"

// Never dialled, whatever is allowed: what answers here hands out credentials.
// Besides 169.254.0.0/16, which holds nearly all of them, these are the ones
// of AWS (IPv6, also for containers), Google (IPv6), Alibaba, Azure's
// wireserver, Oracle and Scaleway (IPv6).
var (
	linkLocal4 = netip.MustParsePrefix("169.254.0.0/16")
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")      // RFC 4380
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291, 2.5.5.1
)

func metadata(ip netip.Addr) bool {
	if linkLocal4.Contains(ip) || linkLocal6.Contains(ip) {
		return true
	}
	switch ip.String() {
	case "100.100.100.200", "168.63.129.16", "192.0.0.192",
		"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42":
		return true
	}
	return false
}

// embedded returns the IPv4 addresses that an IPv6 address may lead to.
func embedded(ip netip.Addr) []netip.Addr {
	if !ip.Is6() {
		return nil
	}
	b := ip.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	var inner []netip.Addr
	switch {
	case nat64.Contains(ip), compatible.Contains(ip):
		inner = append(inner, last)
	case nat64Local.Contains(ip):
		// RFC 6052, 2.2: where the address stands depends on how long a prefix the
		// network chose; byte 8 is skipped.
		inner = append(inner, last,
			netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}),
			netip.AddrFrom4([4]byte{b[9], b[10], b[11], b[12]}))
	case sixToFour.Contains(ip):
		inner = append(inner, netip.AddrFrom4([4]byte(b[2:6])))
	case teredo.Contains(ip):
		inner = append(inner, netip.AddrFrom4([4]byte(b[4:8])),
			netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe { // ISATAP, RFC 5214
		inner = append(inner, last)
	}
	return inner
}
