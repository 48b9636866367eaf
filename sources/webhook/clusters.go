package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// clustersFile is the form of CLUSTERS_FILE.
type clustersFile struct {
	Clusters []clusterEntry `yaml:"clusters"`
}

// clusterEntry binds what a sender proves to a cluster. Several entries may be of one cluster.
type clusterEntry struct {
	Name              string             `yaml:"name"`
	ID                string             `yaml:"id"`
	TokenFile         string             `yaml:"token_file"`
	TokenSHA256       string             `yaml:"token_sha256"`
	ClientCertificate *certificateFields `yaml:"client_certificate"`
}

type certificateFields struct {
	CommonName string `yaml:"common_name"`
	SAN        string `yaml:"san"`
}

// parseClusters reads the text of CLUSTERS_FILE and, by read, the token files that it names.
func parseClusters(text []byte, read reader) ([]sender, error) {
	var file clustersFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one document")
	}
	if len(file.Clusters) == 0 {
		return nil, errors.New("the list clusters is empty: nobody could post")
	}
	senders := make([]sender, len(file.Clusters))
	for i := range file.Clusters {
		var err error
		if senders[i], err = file.Clusters[i].sender(read); err != nil {
			return nil, fmt.Errorf("cluster %d (%.100q): %w", i+1, file.Clusters[i].Name, err)
		}
	}
	return senders, unambiguous(senders)
}

func (e *clusterEntry) sender(read reader) (sender, error) {
	if !isName(e.Name) {
		return sender{}, errors.New("name must be 1 to 512 printable characters")
	}
	if e.ID == "" {
		e.ID = e.Name
	}
	if !isName(e.ID) {
		return sender{}, errors.New("id must be at most 512 printable characters")
	}
	s := sender{cluster: cluster{name: e.Name, id: e.ID}}
	switch {
	case e.TokenFile != "" && e.TokenSHA256 != "":
		return sender{}, errors.New("token_file and token_sha256 exclude each other; write two entries for two tokens")
	case e.TokenFile != "":
		text, err := read(e.TokenFile)
		if err == nil {
			s.tokens, err = parseTokens(string(text))
		}
		if err != nil {
			return sender{}, fmt.Errorf("token_file %s: %w", e.TokenFile, err)
		}
	case e.TokenSHA256 != "":
		sum, err := hex.DecodeString(e.TokenSHA256)
		if err != nil || len(sum) != sha256.Size {
			return sender{}, errors.New("token_sha256 must be 64 hexadecimal digits: printf %s TOKEN | sha256sum")
		}
		s.tokens = [][sha256.Size]byte{[sha256.Size]byte(sum)}
	}
	if c := e.ClientCertificate; c != nil {
		if c.CommonName == "" && c.SAN == "" {
			return sender{}, errors.New("client_certificate needs a common_name or a san")
		}
		s.certificate = &certificateName{commonName: c.CommonName, san: c.SAN}
	}
	if len(s.tokens) == 0 && s.certificate == nil {
		return sender{}, errors.New("a token_file, a token_sha256 or a client_certificate is needed")
	}
	return s, nil
}

// unambiguous refuses one proof for two clusters.
func unambiguous(senders []sender) error {
	tokens := make(map[[sha256.Size]byte]cluster)
	certificates := make(map[certificateName]cluster)
	for i := range senders {
		s := &senders[i]
		for _, t := range s.tokens {
			if was, ok := tokens[t]; ok && was != s.cluster {
				return fmt.Errorf("clusters %q and %q have the same token: give each its own", was.name, s.cluster.name)
			}
			tokens[t] = s.cluster
		}
		if s.certificate == nil || len(s.tokens) > 0 {
			continue
		}
		if was, ok := certificates[*s.certificate]; ok && was != s.cluster {
			return fmt.Errorf("clusters %q and %q have the same client_certificate: give each its own", was.name, s.cluster.name)
		}
		certificates[*s.certificate] = s.cluster
	}
	return nil
}

func checkCertificates(senders []sender, clientCAFile string) error {
	for i := range senders {
		if senders[i].certificate != nil && clientCAFile == "" {
			return fmt.Errorf("cluster %q asks for a client certificate: set CLIENT_CA_FILE to the CA that signs it", senders[i].cluster.name)
		}
	}
	return nil
}

// isName bounds what becomes part of finding ids and of dashboards, as the decoder does.
func isName(s string) bool {
	return s != "" && len(s) <= 512 && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0
}
