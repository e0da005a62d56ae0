# The plot of a soak: gnuplot -e "log='soak.log'" bench/soak.gp > docs/images/soak.svg   (Debian: gnuplot-nox)
set terminal svg size 860,320 font "sans-serif,13" background rgb "white"
set title "Resident memory of the proxy, a fault of Redis every 30 s"
set xlabel "minute"
set ylabel "MiB"
set y2label "acknowledged writes, millions"
set xrange [0:*]
set yrange [0:60]
set y2range [0:*]
set ytics nomirror
set y2tics
set grid
set key left top
plot log every ::2 using 1:2 with lines lw 2 title "resident", log every ::2 using 1:($3 / 1e6) axes x1y2 with lines dt 2 title "acknowledged (right)"
