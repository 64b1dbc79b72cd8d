package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"keybearer/certs"
)

// signerFile is what certs calls the key and its certificates.
const signerFile = "signer.pem"

func newCAImport() *cobra.Command {
	var o caOptions
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Copy an authority into ca_dir",
		Long: `Copy the authority in DIR into ca_dir, with modes that keep its key from others,
and print the path of its certificate. For a Kubernetes Secret, whose files cannot
have them. Nothing is ever overwritten.`,
		Example: `  keybearer ca import /run/authority`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.copy(cmd, args[0]) },
	}
	o.settings.register(cmd, "ca-dir")
	return cmd
}

func (o *caOptions) copy(cmd *cobra.Command, from string) error {
	c, err := o.loadAny(cmd)
	if err != nil {
		return err
	}
	dir := c.Settings.CADir
	if dir == "" {
		return exit(exitCA, errNoCADir)
	}
	copied, err := copySigner(from, dir)
	if err != nil {
		return exit(exitCA, fmt.Errorf("import authority: %w", err))
	}
	if _, err := certs.Load(dir); err != nil { // checks it, and writes ca.pem
		if copied {
			os.Remove(filepath.Join(dir, signerFile)) // or the right one could not take its place
		}
		return exit(exitCA, err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), filesIn(dir).ca)
	return nil
}

// copySigner copies the key and its certificates. That they are there already,
// because a container starts once more, is no error.
func copySigner(from, to string) (copied bool, err error) {
	data, err := os.ReadFile(filepath.Join(from, signerFile))
	if err != nil {
		return false, fmt.Errorf("%w; name the directory that keybearer ca init has written", err)
	}
	path := filepath.Join(to, signerFile)
	if present, err := os.ReadFile(path); err == nil {
		if bytes.Equal(present, data) {
			return false, nil
		}
		return false, fmt.Errorf("%s is of another authority; move it away to start anew", path)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path) // half of it would look like another authority
	}
	return err == nil, err
}
