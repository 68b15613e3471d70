-- The tail of every ledger script: run what stands between it and the head, and add how far the campaign has come.
end
local answer = act()
answer[#answer + 1], answer[#answer + 2] = SEQ, BORN or ''
return answer
