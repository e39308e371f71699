#!/usr/bin/env bash
# Builds the images without a registry of images, and sends a film through the gate of a running container.
#   apt-get install buildah mmdebstrap podman runc curl openssl
#   sudo deploy/try_images.sh FOLDER [TARGET...]      targets: serve (default), app, archive, full
# FOLDER takes some gigabytes, for full 50.
# The base image is made of Debian's packages, as debian:bookworm-slim is, under the name that the Dockerfile uses.
set -euo pipefail
folder=$(mkdir -p "$1" && realpath "$1")
shift
targets=("${@:-serve}")
cd "$(dirname "$0")/.."
store=(--root "$folder/store" --runroot "$folder/run" --storage-driver overlay)
slim=(--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*'
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/doc/*/copyright')

if ! buildah "${store[@]}" inspect --type image debian:bookworm-slim >/dev/null 2>&1; then
  mmdebstrap --variant=minbase --include=ca-certificates "${slim[@]}" bookworm "$folder/base.tar"
  base=$(buildah "${store[@]}" from scratch)
  buildah "${store[@]}" add --quiet "$base" "$folder/base.tar" /
  buildah "${store[@]}" commit --quiet --rm "$base" docker.io/library/debian:bookworm-slim
fi

# A network that reads TLS has a certificate of its own, which the build has to trust as this machine does.
mkdir -p "$folder/uv"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$folder/pip.conf"
printf 'native-tls = true\n' >"$folder/uv/uv.toml"
trust=(--volume /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro
  --volume "$folder/pip.conf:/etc/pip.conf:ro" --volume "$folder/uv:/etc/uv:ro")
for target in "${targets[@]}"; do
  buildah "${store[@]}" build --isolation chroot --layers --pull-never "${trust[@]}" \
    --ignorefile deploy/Dockerfile.dockerignore --file deploy/Dockerfile --target "$target" --tag "osteolens:$target" .
done
buildah "${store[@]}" images

run=(podman --runtime /usr/sbin/runc "${store[@]}" --cgroup-manager cgroupfs)
confined=(--pull never --network host --read-only --tmpfs /tmp:mode=1777,size=1g --user 10001 --cap-drop ALL
  --security-opt no-new-privileges --ulimit nofile=16384:16384 --ulimit nproc=4096:4096)
case "${targets[0]}" in
  app) exit ;;
  archive)  # without an archive at the address it ends with status 4
    "${run[@]}" run --rm "${confined[@]}" --entrypoint .venv/bin/osteolens localhost/osteolens:archive --version
    "${run[@]}" run --rm "${confined[@]}" localhost/osteolens:archive score --out /tmp/ledger \
      --url http://127.0.0.1:9/dicom-web --query ModalitiesInStudy=DX --dry-run || [ $? = 4 ]
    exit ;;
esac
openssl rand -hex 32 >"$folder/token"
chmod 644 "$folder/token"
"${run[@]}" run --detach --name osteolens-try --replace "${confined[@]}" \
  --volume "$folder/token:/run/secrets/osteolens_token:ro" "localhost/osteolens:${targets[0]}" >/dev/null
trap '"${run[@]}" rm --force --time 30 osteolens-try >/dev/null' EXIT
for _ in $(seq 180); do curl --silent --output /dev/null http://127.0.0.1:8000/ping && break; sleep 1; done
"${run[@]}" logs osteolens-try
"${run[@]}" exec osteolens-try sh -c 'id -u; touch /opt/osteolens/x 2>&1 | grep --only-matching "Read-only file system"'
curl --fail --silent --show-error --header "Authorization: Bearer $(cat "$folder/token")" \
  --upload-file samples/knee.jpg http://127.0.0.1:8000/predictions/knee | cut -c1-160
if [ "${targets[0]}" = full ]; then  # what this image has PyTorch for
  curl --fail --silent --show-error --header "Authorization: Bearer $(cat "$folder/token")" \
    --header "X-OsteoLens-Explain: gradcam++" --upload-file samples/knee.jpg http://127.0.0.1:8000/predictions/knee |
    grep --only-matching '"method":"gradcam++"'
fi
curl --silent --output /dev/null --write-out '\nwithout a token: %{http_code}\n' \
  --upload-file samples/knee.jpg http://127.0.0.1:8000/predictions/knee
