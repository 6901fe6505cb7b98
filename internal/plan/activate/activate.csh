# Source this in csh or tcsh: it puts the environment first on PATH until `deactivate`.

alias deactivate 'if ($?_OLD_VIRTUAL_PATH) setenv PATH "$_OLD_VIRTUAL_PATH"; unset _OLD_VIRTUAL_PATH; unsetenv VIRTUAL_ENV; unsetenv VIRTUAL_ENV_PROMPT; rehash; unalias deactivate'

# what an earlier environment left
if ($?_OLD_VIRTUAL_PATH) then
    setenv PATH "$_OLD_VIRTUAL_PATH"
endif

setenv VIRTUAL_ENV '@VENV@'
setenv VIRTUAL_ENV_PROMPT '.venv'
set _OLD_VIRTUAL_PATH = "$PATH"
setenv PATH "$VIRTUAL_ENV/bin:$PATH"
rehash
