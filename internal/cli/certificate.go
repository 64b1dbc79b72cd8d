package cli

import (
	"errors"
	"fmt"
	"io"

	"keybearer/rules"
	"keybearer/secrets"
)

// certificateFiles are those of the certificate that a rule shows to upstreams.
func certificateFiles(rule *rules.Rule) (files secrets.CertificateFiles, ok bool) {
	written := rule.ClientCertificate()
	if written == nil {
		return files, false
	}
	return secrets.CertificateFiles(*written), true
}

// certificateWarnings is what is doubtful about the certificates of the rules.
func certificateWarnings(set *rules.Set) (warnings []string) {
	seen := map[secrets.CertificateFiles]bool{}
	for _, rule := range set.Rules() {
		if files, ok := certificateFiles(rule); ok && !seen[files] {
			seen[files] = true
			warnings = append(warnings, files.Warnings()...)
		}
	}
	return warnings
}

// certificateOrigin is whose certificate it is and where it comes from, and whether it
// can be used right now.
func certificateOrigin(files secrets.CertificateFiles) string {
	certificate, err := files.Load()
	var problem *secrets.Error
	if errors.As(err, &problem) {
		return problem.Source + ", which cannot be used: " + problem.Reason
	}
	return fmt.Sprintf("%s, from file %s", certificate.Describe(), files.Cert)
}

func describeCertificate(w io.Writer, rule *rules.Rule) {
	if files, ok := certificateFiles(rule); ok {
		fmt.Fprintf(w, "  shows the client certificate %s\n", certificateOrigin(files))
	}
}
