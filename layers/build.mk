# How a layer is built, for sam build and for the local stack alike:
#   GROUP     dependency group of pyproject.toml, resolved by uv.lock
#   DEST      folder to fill; what lands in DEST/python is importable in Lambda
#   PLATFORM  uv's name of the target platform; empty: this machine's
#   WITHOUT   packages that another layer brings
#   SOURCES   packages of this project that go in beside them
#   LEFT_OUT  files of packages that are left out
override UV := $(ROOT)/.uv/bin/uv
PLATFORM ?= aarch64-manylinux_2_28

# Lambda's file system is read-only: a module that is not compiled now is compiled at every cold
# start. Hash-based bytecode, because zip files keep times to two seconds only and Python would
# take the compiled file for an outdated one.
define build_layer
	rm -rf "$(DEST)/python"
	mkdir -p "$(DEST)/python"
	cd "$(ROOT)" && "$(UV)" export --quiet --frozen --no-emit-project --no-hashes \
		--only-group $(GROUP) $(addprefix --no-emit-package ,$(WITHOUT)) \
		| "$(UV)" pip install --quiet --target "$(DEST)/python" --no-deps --requirements - \
		--python 3.13 --only-binary :all: \
		$(if $(PLATFORM),--python-platform $(PLATFORM))
	rm -rf "$(DEST)/python/bin"
	cd "$(DEST)/python" && rm -rf $(LEFT_OUT)
	$(foreach source,$(SOURCES),cp -R "$(ROOT)/$(source)" "$(DEST)/python/" &&) true
	"$(UV)" run --quiet --no-project --python 3.13 python -m compileall -qqf -j 0 \
		--invalidation-mode unchecked-hash "$(DEST)/python"
endef
