package rules

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Signing is how a rule signs requests for AWS: with Signature Version 4, in place of
// the signature that the client has made with keys of its own.
type Signing struct {
	AccessKeyID     Injection
	SecretAccessKey Injection
	SessionToken    *Injection // of temporary keys; nil if they are not

	// Region and Service are what the signature is for; "" means what the client
	// has signed for.
	Region, Service string
	// Placeholder is the access key ID that clients are given in place of the real one.
	Placeholder string
}

// String names what is put into requests, for people.
func (s *Signing) String() string { return "AWS signature" }

// Keys are the three, or two, in that order; none if s is nil.
func (s *Signing) Keys() []Injection {
	if s == nil {
		return nil
	}
	keys := []Injection{s.AccessKeyID, s.SecretAccessKey}
	if s.SessionToken != nil {
		keys = append(keys, *s.SessionToken)
	}
	return keys
}

// awsHosts are those of a rule with aws that names none, as LangSmith's do not.
var awsHosts = []string{"*.amazonaws.com"}

// awsVariables are for the programs that AWS's libraries are in, which sign nothing
// without keys. Some look whether the first has the form of one.
var awsVariables = map[string]string{
	"AWS_ACCESS_KEY_ID":     "AKIAKEYBEAREREXAMPLE",
	"AWS_SECRET_ACCESS_KEY": "keybearer-signs-with-the-real-key-instead",
}

// awsFields are those that a signature consists of.
var awsFields = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"}

// scopeName is what the names of regions and services consist of.
var scopeName = regexp.MustCompile(`^[a-z0-9-]{0,64}$`)

// signing compiles aws and type. What it adds to the rule stands in w then, as if it
// had been written.
func (c *compiler) signing(at string, w *RuleConfig) *Signing {
	a := w.AWS
	if a == nil {
		if w.Type == "aws" {
			c.errorf(at+".aws", "is missing; a rule of type aws has aws: {access_key_id: ..., secret_access_key: ...}")
			w.MatchHosts = awsHosts // one problem is enough
		}
		return nil
	}
	if len(w.MatchHosts) == 0 {
		w.MatchHosts = awsHosts
	}
	variables := maps.Clone(awsVariables)
	maps.Copy(variables, w.EnvVars)
	w.EnvVars = variables
	s := &Signing{Region: a.Region, Service: a.Service, Placeholder: variables["AWS_ACCESS_KEY_ID"]}
	s.AccessKeyID = c.awsKey(at+".aws.access_key_id", "AWS access key ID", a.AccessKeyID)
	s.SecretAccessKey = c.awsKey(at+".aws.secret_access_key", "AWS secret access key", a.SecretAccessKey)
	if a.SessionToken != nil {
		token := c.awsKey(at+".aws.session_token", "AWS session token", a.SessionToken)
		s.SessionToken = &token
	}
	if !scopeName.MatchString(a.Region) {
		c.errorf(at+".aws.region", "%q is not the name of a region, as in eu-central-1", a.Region)
	}
	if !scopeName.MatchString(a.Service) {
		c.errorf(at+".aws.service", "%q is not the name of a service, as in s3", a.Service)
	}
	return s
}

// awsKey compiles one of the keys.
func (c *compiler) awsKey(at, name string, written *SecretConfig) Injection {
	i := Injection{Name: name}
	if written == nil {
		c.errorf(at, "is missing; write ${NAME}, the name of the secret that it is in")
		return i
	}
	var err error
	switch written.Type {
	case "":
		i.value, err = parseTemplate(written.Value)
	case "workspace_secret":
		i.value, err = parseBraces(written.Value)
	case "opaque":
		i.opaque, i.value = true, template{}.literal(written.Value)
	default: // also LangSmith's plaintext, which it refuses here
		c.errorf(at+".type", "%q is not a type for keys; use workspace_secret or opaque", written.Type)
		return i
	}
	switch {
	case err == nil && written.Value == "":
		err = errors.New("is empty; write ${NAME}, the name of the secret that it is in")
	case err == nil && !i.opaque && len(i.value.references()) == 0:
		err = errors.New("is not a reference; write ${NAME}, and put the key into the environment or a file")
	}
	c.check(at, err)
	return i
}

// checkAWSField says why a rule that signs can not set or remove the field as well.
func (s *Signing) checkAWSField(name string) error {
	same := func(field string) bool { return fieldKey(field) == fieldKey(name) }
	if s == nil || !slices.ContainsFunc(awsFields, same) {
		return nil
	}
	return fmt.Errorf("%s is part of the signature, which aws makes; take it out here", name)
}
