package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	signerFile = "signer.pem"
	rootFile   = "ca.pem"

	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY" // PKCS#8
)

// Create makes an authority that is valid for five years and writes it to dir.
// A missing dir is created with mode 0700, an empty one is given that mode.
// If dir already holds an authority or any part of one, the error is
// [fs.ErrExist] and nothing is changed. A nil c leaves it unconstrained.
func Create(dir string, c *Constraints) (*Authority, error) {
	dir = filepath.Clean(dir)
	if err := claimDir(dir); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	for _, name := range []string{signerFile, rootFile} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("create authority: %w", &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist})
		}
	}
	a, err := issueAuthority(c, persistedLife)
	if err != nil {
		return nil, err
	}
	signer, err := a.encodeSigner()
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	// From here on the authority exists.
	if err := publish(filepath.Join(dir, signerFile), signer, 0o600); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	if err := a.publishRoot(dir); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	return a, nil
}

// Load reads the authority in dir. The error is [fs.ErrNotExist] if there is
// none. A key that others can read, a key that does not belong to its
// certificate, an expired authority and a ca.pem of another authority are
// errors.
func Load(dir string) (*Authority, error) {
	dir = filepath.Clean(dir)
	if err := checkDir(dir); err != nil {
		return nil, loadError(err)
	}
	// ca.pem is published last, so it is looked at first: if it is there and
	// signer.pem is not, then nobody is creating this authority right now.
	_, rootErr := os.Lstat(filepath.Join(dir, rootFile))
	path := filepath.Join(dir, signerFile)
	data, err := readOwn(path, 0o600)
	if errors.Is(err, fs.ErrNotExist) && rootErr == nil {
		return nil, fmt.Errorf("load authority: %s has %s but no %s: restore it, or remove %[2]s to start anew",
			dir, rootFile, signerFile)
	}
	if err != nil {
		return nil, loadError(err)
	}
	a, err := parseSigner(data)
	if err != nil {
		return nil, fmt.Errorf("load authority: %s: %w", path, err)
	}
	if err := a.publishRoot(dir); err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	return a, nil
}

func loadError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("load authority: %w: create one with keybearer ca init", err)
	}
	return fmt.Errorf("load authority: %w", err)
}

// LoadOrCreate loads the authority in dir, or creates an unconstrained one if
// there is none. Processes that do so at once end with the same authority.
func LoadOrCreate(dir string) (*Authority, error) {
	a, err := Load(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	a, err = Create(dir, nil)
	if errors.Is(err, fs.ErrExist) {
		return Load(dir)
	}
	return a, err
}

// encodeSigner returns the contents of signer.pem.
func (a *Authority) encodeSigner() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	key := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	return append(key, encodeCertificates(a.signer, a.root)...), nil
}

func parseSigner(data []byte) (*Authority, error) {
	var ders [][]byte
	for _, kind := range []string{keyBlock, certificateBlock, certificateBlock} {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != kind {
			return nil, errors.New("must hold a private key, its certificate and the root, in this order")
		}
		ders, data = append(ders, block.Bytes), rest
	}
	parsed, err := x509.ParsePKCS8PrivateKey(ders[0])
	if err != nil {
		// Not the parser's own words: they might quote the key.
		return nil, errors.New("the private key is not PKCS#8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not ECDSA")
	}
	signer, err := x509.ParseCertificate(ders[1])
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	root, err := x509.ParseCertificate(ders[2])
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	if !key.PublicKey.Equal(signer.PublicKey) {
		return nil, errors.New("the private key does not belong to the certificate")
	}
	if err := signer.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("the certificate is not signed by the root: %w", err)
	}
	if !signer.IsCA {
		return nil, errors.New("the certificate is not a certificate authority's")
	}
	for _, cert := range []*x509.Certificate{signer, root} {
		if err := checkValidity(cert); err != nil {
			return nil, err
		}
	}
	return &Authority{root: root, signer: signer, key: crypto.Signer(key)}, nil
}

func checkValidity(ca *x509.Certificate) error {
	now := time.Now()
	if now.After(ca.NotAfter) {
		return fmt.Errorf("authority expired on %s: move it away and create a new one", ca.NotAfter.Format(time.DateOnly))
	}
	if now.Before(ca.NotBefore) {
		return fmt.Errorf("authority is not valid before %s: set the clock", ca.NotBefore.Format(time.DateTime))
	}
	return nil
}

// publishRoot writes ca.pem, or makes sure that the one there is ours.
func (a *Authority) publishRoot(dir string) error {
	path := filepath.Join(dir, rootFile)
	data, err := readOwn(path, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		err = publish(path, a.PEM(), 0o644)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		data, err = readOwn(path, 0o644) // another process was faster
	}
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(data); block == nil || !bytes.Equal(block.Bytes, a.root.Raw) {
		return fmt.Errorf("%s is not the root of %s beside it: remove %[1]s to have it written anew", path, signerFile)
	}
	return nil
}

// publish makes data appear at path, all of it at once. If anything is there
// already, a symbolic link included, the error is fs.ErrExist: link(2) neither
// replaces nor follows.
func publish(path string, data []byte, mode fs.FileMode) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Chmod(mode) // whatever the umask
	}
	if err == nil {
		err = temp.Sync() // before the name exists, or a power cut leaves an empty file
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	err = os.Link(temp.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: give a directory on a file system that has hard links", err)
	}
	return err
}

// readOwn reads a regular file that grants group and others no more than mode
// does.
func readOwn(path string, mode fs.FileMode) ([]byte, error) {
	found, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() { // else opening it might follow or block
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(found, opened) {
		return nil, fmt.Errorf("%s was replaced while it was opened", path)
	}
	if sharedWith(opened, ^mode&0o077) {
		return nil, fmt.Errorf("%s has mode %04o: others could read or change it: "+
			"create a new authority if they did, else chmod %o it", path, opened.Mode().Perm(), mode)
	}
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// claimDir makes sure that dir is a directory that only we write to.
func claimDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Its entries before its mode: whoever else claims it sets the mode first.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(dir); err == nil && info.IsDir() && len(entries) == 0 && sharedWith(info, 0o077) {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("%w: give a directory of your own", err)
		}
	}
	return checkDir(dir)
}

// checkDir refuses a directory whose files others can replace.
func checkDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory, or only a symbolic link to one", dir)
	}
	if sharedWith(info, 0o022) {
		return fmt.Errorf("%s has mode %04o: others can replace the files in it: chmod 700 it", dir, info.Mode().Perm())
	}
	return nil
}
