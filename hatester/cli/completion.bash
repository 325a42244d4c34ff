# shellcheck shell=bash
# Completion in bash for ./bootstrap and hatester: commands, flags and names.
# `invoke completion` installs it; any bash from 4 on takes it by `source`.

_hatester() {
    local folder=. first=1 program=("${1/#\~/$HOME}")
    if [[ ${1##*/} = bootstrap ]]; then
        [[ $1 != */* ]] || folder=${1%/*}
        folder=${folder/#\~/$HOME}
        # Other projects have a file of that name too.
        [[ -x $folder/.venv/bin/python && -f $folder/hatester/cli/completion.py ]] || return 0
        if ((COMP_CWORD == 1)); then
            mapfile -t COMPREPLY < <(compgen -W invoke -- "$2")
            return 0
        fi
        [[ ${COMP_WORDS[1]} = invoke ]] || return 0
        program=(.venv/bin/python -m hatester)
        first=2
    fi
    mapfile -t COMPREPLY < <(
        cd "$folder" &&
            "${program[@]}" --complete -- "${COMP_WORDS[@]:first:COMP_CWORD-first+1}" 2>/dev/null
    )
    # A part of a cell's id is followed by the next one.
    [[ ${COMPREPLY[0]-} != */ ]] || compopt -o nospace
}

complete -o bashdefault -o default -F _hatester bootstrap hatester
