//go:build linux

package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what the numbers depend on.
type machine struct {
	Kernel     string  `json:"kernel"`
	CPU        string  `json:"cpu"`
	Processors int     `json:"processors"`
	MemoryGiB  float64 `json:"memory_gib"`
	Go         string  `json:"go"`
	FileSystem string  `json:"file_system"`
	Mount      string  `json:"mount"`       // its options
	Fsync      latency `json:"fsync"`       // of 8 KiB behind the end of a file, before the first run
	Load       string  `json:"load"`        // /proc/loadavg before the first run
	GOGC       string  `json:"gogc"`        // of the environment
	GOMEMLIMIT string  `json:"gomem_limit"` // of the environment
}

// errTmpfs means that nothing is made durable there.
var errTmpfs = errors.New("a file system in memory: fsync costs nothing there, so the numbers would mean nothing; name a directory on a disk with -dir")

// Magic numbers of statfs(2).
func fileSystem(magic int64) string {
	switch magic {
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.RAMFS_MAGIC:
		return "ramfs"
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case 0x2fc12fc1:
		return "zfs"
	}
	return fmt.Sprintf("0x%x", magic)
}

// describe reads what the machine is, and refuses a directory that is no disk.
func describe(dir string) (m machine, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return m, fmt.Errorf("-dir %s: %w", dir, err)
	}
	m.FileSystem = fileSystem(fs.Type)
	if m.FileSystem == "tmpfs" || m.FileSystem == "ramfs" {
		return m, fmt.Errorf("-dir %s is on %s, %w", dir, m.FileSystem, errTmpfs)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return m, err
	}
	m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	m.CPU = valueIn("/proc/cpuinfo", "model name")
	m.Processors = runtime.NumCPU()
	kib, _ := strconv.ParseFloat(strings.TrimSuffix(valueIn("/proc/meminfo", "MemTotal"), " kB"), 64)
	m.MemoryGiB = kib / (1 << 20)
	m.Go = runtime.Version()
	m.Mount = mountOptions(dir)
	m.GOGC, m.GOMEMLIMIT = os.Getenv("GOGC"), os.Getenv("GOMEMLIMIT")
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	m.Fsync, err = probe(dir)
	return m, err
}

// valueIn returns what a file of "name: value" lines says first.
func valueIn(file, name string) string {
	f, err := os.Open(file) //nolint:gosec // a constant
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mountOptions are those of the mount that dir is on: the one with the longest path.
func mountOptions(dir string) string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	best, options := "", ""
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 4 || len(f[1]) < len(best) {
			continue
		}
		if rel, err := filepath.Rel(f[1], dir); err == nil && !strings.HasPrefix(rel, "..") {
			best, options = f[1], f[3]
		}
	}
	return options
}

// probe measures what an fsync costs where stores are made.
func probe(dir string) (l latency, err error) {
	f, err := os.CreateTemp(dir, "bench-probe-")
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 8<<10)
	var took []float64
	for range 100 {
		if _, err := f.Write(page); err != nil {
			return l, err
		}
		start := time.Now()
		if err := f.Sync(); err != nil {
			return l, err
		}
		took = append(took, micros(time.Since(start)))
	}
	return latency{quantile(took, 0.5), quantile(took, 0.99), quantile(took, 1)}, nil
}

// makeCertificate makes one for the receiver, which the server trusts by
// SSL_CERT_FILE.
func makeCertificate(dir string) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(receiverHost)},
		IsCA:        true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	return certFile, keyFile, errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}
