# Certificates and kubeconfigs: elliptic curve keys by openssl, valid ten years, gone with `down`.
# shellcheck shell=bash

KEY_KIND=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650)

make_ca() { # FOLDER NAME
  openssl req -x509 "${KEY_KIND[@]}" -keyout "$1/$2.key" -out "$1/$2.crt" -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
}

# FOLDER CA NAME SUBJECT [ALTERNATIVE_NAMES]: signed by CA of the same folder, for servers and clients.
make_certificate() {
  openssl req -x509 -CA "$1/$2.crt" -CAkey "$1/$2.key" "${KEY_KIND[@]}" -keyout "$1/$3.key" -out "$1/$3.crt" \
    -subj "$4" -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext extendedKeyUsage=serverAuth,clientAuth ${5:+-addext "subjectAltName=$5"} 2>/dev/null
}

# TARGET USER_FIELDS: USER_FIELDS is the YAML flow mapping of the credentials. Mode 0600, never half written.
write_kubeconfig() {
  local ca=$3
  (
    umask 077
    cat >"$1.new" <<Y
apiVersion: v1
kind: Config
clusters:
- name: kruise
  cluster: {server: "https://127.0.0.1:$API_PORT", certificate-authority-data: $(base64 -w0 "$ca")}
users:
- name: user
  user: {$2}
contexts:
- name: kruise
  context: {cluster: kruise, user: user}
current-context: kruise
Y
  )
  mv "$1.new" "$1"
}

# FOLDER NAME: a kubeconfig with the certificate NAME.
certificate_kubeconfig() {
  write_kubeconfig "$1/$2.kubeconfig" "client-certificate-data: $(base64 -w0 "$1/$2.crt"), client-key-data: $(base64 -w0 "$1/$2.key")" "$1/ca.crt"
}

need_pki() {
  [ -d "$PKI" ] && return
  local new=$PKI.new name     # complete or absent: renamed when done
  rm -rf "$new"
  mkdir -p "$new"
  chmod 700 "$new"
  make_ca "$new" ca
  make_ca "$new" front-proxy-ca
  make_certificate "$new" ca apiserver /CN=kube-apiserver \
    "IP:127.0.0.1,IP:$API_SERVICE,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  make_certificate "$new" ca admin /O=system:masters/CN=admin
  make_certificate "$new" ca controller-manager /CN=system:kube-controller-manager
  make_certificate "$new" ca scheduler /CN=system:kube-scheduler
  make_certificate "$new" ca kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  make_certificate "$new" front-proxy-ca front-proxy /CN=front-proxy-client
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$new/service-account.key" 2>/dev/null
  openssl pkey -in "$new/service-account.key" -pubout -out "$new/service-account.pub"
  for name in admin controller-manager scheduler; do certificate_kubeconfig "$new" "$name"; done
  mv "$new" "$PKI"
  say "certificates made"
}

# NODE: a kubelet's certificate, in the group that the Node authorizer and NodeRestriction know.
need_node_certificate() {
  [ -e "$PKI/node-$1.kubeconfig" ] && return
  make_certificate "$PKI" ca "node-$1" "/O=system:nodes/CN=system:node:$1" "IP:$1"
  certificate_kubeconfig "$PKI" "node-$1"
}
