package dialguard

import "net/netip"

// Never dialled, whatever is allowed: what answers here hands out credentials.
// 169.254.0.0/16 and fe80::/10 hold nearly all of them; the others are named.
var (
	linkLocal4 = netip.MustParsePrefix("169.254.0.0/16")
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
	awsLocal   = netip.MustParsePrefix("fd00:ec2::/32")   // AWS: instances, EKS, DNS, time
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, 2.1
)

func metadata(ip netip.Addr) bool {
	if linkLocal4.Contains(ip) || linkLocal6.Contains(ip) || awsLocal.Contains(ip) {
		return true
	}
	switch ip.String() {
	case "100.100.100.200", // Alibaba
		"168.63.129.16",      // Azure's wireserver
		"192.0.0.192",        // Oracle, classic
		"100.96.0.96",        // Volcano Engine
		"fd20:ce::254",       // Google
		"fd00:42::42",        // Scaleway
		"fd00:c1::a9fe:a9fe", // Oracle
		"fd00:a9fe:a9fe::1":  // Linode
		return true
	}
	return false
}

// endsInMetadata reports whether an IPv6 address ends in the very IPv4 address
// of a metadata service. A network may translate any prefix of its own to IPv4
// (RFC 6052, 2.2, the 96 bits that nearly all use), and nobody can know which.
// For a genuine address to end so is a chance of one in a thousand million.
func endsInMetadata(ip netip.Addr) bool {
	if !ip.Is6() {
		return false
	}
	b := ip.As16()
	switch netip.AddrFrom4([4]byte(b[12:])).String() {
	case "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192", "100.96.0.96":
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
	case nat64.Contains(ip), compatible.Contains(ip), translated.Contains(ip):
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
